package agent

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sirupsen/logrus"
)

// Log writes lines in the format of 2014, or as JSON. The loop uses it, too.
type Log struct {
	*logrus.Logger
	flush func() // writes what is queued, when the program ends
}

func newLog(w io.Writer, level, format string) (*Log, error) {
	l := logrus.New()
	l.SetOutput(w)
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, Usage("--log-level %q is not debug, info, warn or error", level)
	}
	l.SetLevel(parsed)
	switch format {
	case "text":
		l.SetFormatter(textFormat{})
	case "json":
		l.SetFormatter(&logrus.JSONFormatter{TimestampFormat: "2006-01-02T15:04:05.000Z07:00"})
	default:
		return nil, Usage("--log-format %q is not text or json", format)
	}
	return &Log{Logger: l, flush: func() {}}, nil
}

// setQueuedOutput writes the log to w through a queue, so that a blocked w does not block the agent.
func (l *Log) setQueuedOutput(w io.Writer) {
	q := newLogQueue(w, func(n int) []byte {
		line, err := l.Formatter.Format(&logrus.Entry{Logger: l.Logger, Level: logrus.WarnLevel, Time: time.Now(), Message: droppedText(n)})
		if err != nil {
			return []byte(droppedText(n) + "\n")
		}
		return line
	})
	l.SetOutput(q)
	l.flush = q.flush
}

// Info logs a step. An empty subject is the agent as a whole.
func (l *Log) Info(subject, text string) { l.entry(subject).Info(text) }

// Warn logs a fault.
func (l *Log) Warn(subject, text string) { l.entry(subject).Warn(text) }

func (l *Log) entry(subject string) *logrus.Entry {
	if subject == "" {
		return logrus.NewEntry(l.Logger)
	}
	return l.WithField("subject", subject)
}

// textFormat is the format of 2014: INFO  [2014-08-31 02:42:58.076] web: extracting, then fields as key=value.
type textFormat struct{}

// Format implements logrus.Formatter.
func (textFormat) Format(e *logrus.Entry) ([]byte, error) {
	var b bytes.Buffer
	level := map[logrus.Level]string{logrus.WarnLevel: "WARN", logrus.InfoLevel: "INFO", logrus.DebugLevel: "DEBUG", logrus.TraceLevel: "DEBUG"}[e.Level]
	if level == "" {
		level = "FATAL"
	}
	fmt.Fprintf(&b, "%-5s [%s] ", level, e.Time.UTC().Format("2006-01-02 15:04:05.000"))
	if subject, ok := e.Data["subject"].(string); ok {
		b.WriteString(oneLine(subject) + ": ")
	}
	b.WriteString(oneLine(e.Message))
	keys := make([]string, 0, len(e.Data))
	for key := range e.Data {
		if key != "subject" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		b.WriteString(" " + oneLine(fmt.Sprintf("%s=%v", key, e.Data[key])))
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// oneLine replaces control characters, so that text from intent, commands and the network can neither forge log lines
// nor control a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}
