package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/mattn/go-isatty"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
)

// style colours words where somebody sees them.
type style struct{ colour bool }

func (s style) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) red(text string) string    { return s.paint("31", text) }
func (s style) green(text string) string  { return s.paint("32", text) }
func (s style) yellow(text string) string { return s.paint("33", text) }
func (s style) dim(text string) string    { return s.paint("2", text) }
func (s style) bold(text string) string   { return s.paint("1", text) }

// phase colours a phase by what it means to a person.
func (s style) phase(phase string) string {
	switch phase {
	case "converged", "ok":
		return s.green(phase)
	case "failed", "failing", "conflict", "invalid", "reverted", "silent", "stale", "held", "quarantined", "fail":
		return s.red(phase)
	}
	return s.yellow(phase)
}

// colourful reports whether w is a terminal whose owner has not asked for plain text.
func colourful(w io.Writer) bool {
	return terminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// terminal reports whether a reader or writer is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// printTable writes rows below a head, in columns two spaces apart. Empty cells become "-".
func (sh *shell) printTable(head []string, rows [][]string) {
	t := table.NewWriter()
	plain := table.StyleDefault
	plain.Options = table.OptionsNoBordersAndSeparators
	plain.Box.PaddingLeft, plain.Box.PaddingRight = "", "  "
	t.SetStyle(plain)
	t.SuppressTrailingSpaces()
	for i, cells := range append([][]string{head}, rows...) {
		row := make(table.Row, len(cells))
		for j, c := range cells {
			if c == "" {
				c = "-"
			}
			if i == 0 {
				c = sh.style.bold(c)
			}
			row[j] = c
		}
		t.AppendRow(row)
	}
	fmt.Fprintln(sh.out, t.Render())
}

// showPlace writes the line of the file that an error is about, with a caret below the column.
func showPlace(w io.Writer, err error) {
	var at intentfile.PlaceError
	if errors.As(err, &at) {
		showExcerpt(w, at.Place)
	}
}

func showExcerpt(w io.Writer, at intentfile.Place) {
	line, caret := at.Excerpt()
	number, _ := at.LineCol()
	margin := fmt.Sprintf("%5d | ", number)
	fmt.Fprintf(w, "%s%s\n%s| %s\n", margin, line, strings.Repeat(" ", len(margin)-2), caret)
}

// plural counts things in words.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
