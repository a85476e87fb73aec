package agent

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
)

// manual is the content of --help.
type manual struct {
	name     string
	usage    string // one line
	text     string // more of it
	examples []string
	own      []cli.Flag // of the program
	common   []cli.Flag // of every agent
	exits    string     // what its exit codes mean
}

const exitCodes = "0 done, 1 something failed (--once), 2 something would be done (--dry-run) or no store, " +
	"64 mistake on the command line, 75 another copy runs with the same --state-dir"

// String returns the text, for 80 columns.
func (m manual) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\nUsage: %[1]s [flags]\n", m.name, m.usage)
	if text := strings.TrimSpace(m.text); text != "" {
		for paragraph := range strings.SplitSeq(text, "\n\n") {
			b.WriteString("\n" + wrapped("", 0, paragraph))
		}
	}
	if len(m.own) > 0 {
		fmt.Fprintf(&b, "\nFlags of %s:\n%s", m.name, flagLines(m.own))
	}
	fmt.Fprintf(&b, "\nFlags of every agent:\n%s%s", flagLines(m.common), flagLine("--help, --version", "print this text, or the version"))
	b.WriteString("\n" + wrapped("", 0, "A flag may also be given as an environment variable: --state-dir as PLATYPUS_STATE_DIR."))
	b.WriteString("\n" + wrapped("", 2, "Exit codes: "+m.exits) + "\nExamples:\n")
	for _, example := range m.examples {
		fmt.Fprintf(&b, "  %s\n", example)
	}
	return b.String()
}

func flagLines(flags []cli.Flag) string {
	var b strings.Builder
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		usage, head := doc.GetUsage(), "--"+f.Names()[0]
		if doc.TakesValue() {
			placeholder := placeholderOf(f)
			if before, rest, quoted := strings.Cut(usage, "`"); quoted {
				name, after, _ := strings.Cut(rest, "`")
				placeholder, usage = name, before+name+after
			}
			head += " " + placeholder
			text := strings.Trim(doc.GetDefaultText(), `"`)
			if text != "" && text != "0" && text != "[]" && !strings.Contains(usage, "(default: ") {
				usage += fmt.Sprintf(" (default: %s)", text)
			}
		}
		b.WriteString(flagLine(head, usage))
	}
	return b.String()
}

// placeholderOf is the placeholder for the value of a flag whose usage does not name one.
func placeholderOf(f cli.Flag) string {
	switch f.(type) {
	case *cli.DurationFlag:
		return "TIME"
	case *cli.IntFlag, *cli.Int64Flag:
		return "N"
	}
	return "VALUE"
}

// Columns of the help: where the usage of a flag begins, and where lines end.
const (
	usageColumn = 24
	lastColumn  = 80
)

// flagLine is one flag with its usage, wrapped.
func flagLine(head, usage string) string {
	line := "  " + head
	var b strings.Builder
	if len(line) >= usageColumn {
		b.WriteString(line + "\n")
		line = ""
	}
	line += strings.Repeat(" ", usageColumn-len(line))
	return b.String() + wrapped(line, usageColumn, usage)
}

// wrapped appends text to a line and continues in lines indented to a column.
func wrapped(line string, column int, text string) string {
	var b strings.Builder
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+1+len(word) > lastColumn {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", column)
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	return b.String() + line + "\n"
}

// withNearFlag adds the most similar flag to an error about an unknown one.
func withNearFlag(err error, flags []cli.Flag) error {
	_, name, unknown := strings.Cut(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return err
	}
	var known []string
	for _, f := range flags {
		known = append(known, f.Names()...)
	}
	if near := intent.Near(strings.TrimLeft(name, "-"), known); near != "" {
		return fmt.Errorf("%w: did you mean --%s?", err, near)
	}
	return err
}
