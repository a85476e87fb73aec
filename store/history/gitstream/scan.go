package gitstream

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// peek returns the next line without consuming it.
func (r *Reader) peek() (string, error) {
	if r.has {
		return r.lookahead, nil
	}
	line, err := r.in.ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", err
	}
	r.lookahead, r.has = strings.TrimSuffix(line, "\n"), true
	return r.lookahead, nil
}

func (r *Reader) next() (string, error) {
	line, err := r.peek()
	r.has = false
	return line, err
}

// data reads the content after a data command, whose line is the lookahead.
func (r *Reader) data(size string) ([]byte, error) {
	r.has = false
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > maxData {
		return nil, fmt.Errorf("read the stream: data of %q bytes: a number up to %d is expected", shorten(size), maxData)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r.in, data); err != nil {
		return nil, truncatedError(err)
	}
	if next, err := r.in.Peek(1); err == nil && next[0] == '\n' {
		_, _ = r.in.Discard(1)
	}
	return data, nil
}

func truncatedError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("read the stream: it is cut off")
	}
	return fmt.Errorf("read the stream: %w", err)
}

func parseMark(text string) (uint64, error) {
	digits, ok := strings.CutPrefix(text, ":")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || n == 0 {
		return 0, fmt.Errorf("read the stream: %q is no mark: export the whole history, without --import-marks", shorten(text))
	}
	return n, nil
}

// unquote parses a path from git.
func unquote(path string) (string, error) {
	if !strings.HasPrefix(path, `"`) {
		return path, nil
	}
	var b strings.Builder
	inner := strings.TrimSuffix(path[1:], `"`)
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			b.WriteByte(inner[i])
			continue
		}
		i++
		if i+2 < len(inner) && inner[i] >= '0' && inner[i] <= '3' {
			n, err := strconv.ParseUint(inner[i:i+3], 8, 8)
			if err != nil {
				return "", fmt.Errorf("read the stream: path %s: %w", shorten(path), err)
			}
			b.WriteByte(byte(n))
			i += 2
			continue
		}
		at := -1
		if i < len(inner) {
			at = strings.IndexByte(`abtnvfr"\`, inner[i])
		}
		if at < 0 {
			return "", fmt.Errorf("read the stream: path %s ends in the middle of a quoted character", shorten(path))
		}
		b.WriteByte("\a\b\t\n\v\f\r\"\\"[at])
	}
	return b.String(), nil
}

func shorten(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}
