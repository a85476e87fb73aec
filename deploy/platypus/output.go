package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-isatty"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
)

// style adds colours if the output is a terminal.
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

// colourPhase colours a phase by its severity.
func (s style) colourPhase(phase string) string {
	switch phase {
	case "converged", "ok", "placed", "ready", "live":
		return s.green(phase)
	case "failed", "failing", "conflict", "invalid", "reverted", "silent", "stale", "held", "quarantined", "fail", "lost", "dead", "unreachable":
		return s.red(phase)
	}
	return s.yellow(phase)
}

// useColour reports whether w is a terminal and NO_COLOR is not set.
func useColour(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// isTerminal reports whether a reader or writer is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// printTable prints aligned columns, two spaces apart. Empty cells become "-". If a terminal is too narrow, it omits
// columns that another verb shows, and moves the reason below its row; elsewhere each row is one line, for programs.
func (cmd *command) printTable(head []string, rows [][]string) {
	width := terminalColumns(cmd.out)
	if width == 0 || tableWidth(head, rows) <= width {
		cmd.printf("%s", cmd.renderTable(head, rows))
		return
	}
	last := len(head) - 1
	below := slices.Contains(sentenceColumns, head[last])
	texts := make([]string, len(rows))
	if below {
		head = head[:last]
		short := make([][]string, len(rows))
		for i, cells := range rows {
			short[i], texts[i] = cells[:last], cells[last]
		}
		rows = short
	}
	for _, name := range spareColumns {
		if at := slices.Index(head, name); at >= 0 && tableWidth(head, rows) > width {
			head, rows = without(head, at), withoutColumn(rows, at)
		}
	}
	lines := strings.Split(cmd.renderTable(head, rows), "\n")
	fmt.Fprintln(cmd.out, lines[0])
	for i, line := range lines[1:] {
		fmt.Fprintln(cmd.out, line)
		if i < len(texts) && texts[i] != "" {
			for wrapped := range strings.SplitSeq(text.WrapSoft(texts[i], max(20, width-4)), "\n") {
				fmt.Fprintln(cmd.out, "    "+strings.TrimRight(wrapped, " "))
			}
		}
	}
}

// sentenceColumns are the last columns that hold sentences; spareColumns are omitted from a table that is too wide, in
// this order: platypus why, log and -o json show them.
var (
	sentenceColumns = []string{"REASON", "WHY", "REMARK", "FOUND"}
	spareColumns    = []string{"INSTALLED", "MODULE", "LAST UPDATE", "ADDRESS", "DATACENTER", "LARGEST FIT", "PORTS", "SINCE"}
)

func without(cells []string, at int) []string { return slices.Delete(slices.Clone(cells), at, at+1) }

func withoutColumn(rows [][]string, at int) [][]string {
	short := make([][]string, len(rows))
	for i, cells := range rows {
		short[i] = without(cells, at)
	}
	return short
}

// tableWidth is the width of a table in terminal columns.
func tableWidth(head []string, rows [][]string) (width int) {
	widest := make([]int, len(head))
	for _, cells := range append([][]string{head}, rows...) {
		for i, c := range cells {
			widest[i] = max(widest[i], text.StringWidthWithoutEscSequences(c), 1)
		}
	}
	for _, w := range widest {
		width += w + 2
	}
	return width - 2
}

func (cmd *command) renderTable(head []string, rows [][]string) string {
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
				c = cmd.style.bold(c)
			}
			row[j] = c
		}
		t.AppendRow(row)
	}
	return t.Render()
}

// terminalColumns is the width of the terminal w; 0 if it is not a terminal.
func terminalColumns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !isTerminal(w) {
		return 0
	}
	if width := terminalWidth(f); width > 0 {
		return width
	}
	return 80
}

// printPosition prints the line of the file that an error is about, with a caret below the column.
func printPosition(w io.Writer, err error) {
	var at intentfile.PositionError
	if errors.As(err, &at) {
		showExcerpt(w, at.Position)
	}
}

func showExcerpt(w io.Writer, at intentfile.Position) {
	line, caret := at.Excerpt()
	number, _ := at.LineCol()
	margin := fmt.Sprintf("%5d | ", number)
	fmt.Fprintf(w, "%s%s\n%s| %s\n", margin, line, strings.Repeat(" ", len(margin)-2), caret)
}

// plural formats a count and a noun.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
