package gitstream

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Writer writes a stream. Call its methods in the order of the history. The first error is returned by [Writer.Close].
type Writer struct {
	out  *bufio.Writer
	ref  string
	last uint64
	onto string
}

// NewWriter returns a writer of a history for a git branch.
func NewWriter(w io.Writer, branch string) *Writer {
	s := &Writer{out: bufio.NewWriter(w), ref: "refs/heads/" + branch}
	fmt.Fprint(s.out, "feature done\n")
	return s
}

// Onto makes the first commit a child of an existing git commit, given by its hash. Without it the first commit is a
// root.
func (w *Writer) Onto(hash string) { w.onto = hash }

// Commit writes one commit on top of the previous one.
func (w *Writer) Commit(c Commit) {
	fmt.Fprintf(w.out, "commit %s\nmark :%d\n", w.ref, c.Mark)
	_, zone := c.When.Zone()
	sign := '+'
	if zone < 0 {
		sign, zone = '-', -zone
	}
	for _, role := range []string{"author", "committer"} {
		fmt.Fprintf(w.out, "%s %s %d %c%02d%02d\n", role, c.Author, c.When.Unix(), sign, zone/3600, zone/60%60)
	}
	w.data([]byte(appendTrailers(c.Message, c.Trailers)))
	if w.last != 0 {
		fmt.Fprintf(w.out, "from :%d\n", w.last)
	} else if w.onto != "" {
		fmt.Fprintf(w.out, "from %s\n", w.onto)
	}
	if c.Whole {
		fmt.Fprintln(w.out, "deleteall")
	}
	for _, f := range c.Files {
		if f.Delete {
			fmt.Fprintf(w.out, "D %s\n", quote(f.Path))
			continue
		}
		fmt.Fprintf(w.out, "M 100644 inline %s\n", quote(f.Path))
		w.data(f.Data)
	}
	fmt.Fprintln(w.out)
	w.last = c.Mark
}

// Tag tags a commit that was written.
func (w *Writer) Tag(t Tag) {
	from := t.Object
	if from == "" {
		from = fmt.Sprintf(":%d", t.Mark)
	}
	fmt.Fprintf(w.out, "reset refs/tags/%s\nfrom %s\n\n", t.Name, from)
}

// Close ends the stream and returns the first error. Git rejects a stream without its end.
func (w *Writer) Close() error {
	fmt.Fprint(w.out, "done\n")
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write the stream: %w", err)
	}
	return nil
}

func (w *Writer) data(data []byte) {
	fmt.Fprintf(w.out, "data %d\n", len(data))
	w.out.Write(data)
	w.out.WriteByte('\n')
}

// String formats the person like git.
func (p Person) String() string {
	name := strings.TrimSpace(removeChars(p.Name, "<>\x00\r\n"))
	return strings.TrimLeft(name+" ", " ") + "<" + strings.TrimSpace(removeChars(p.Email, "<>\x00\r\n")) + ">"
}

// quote formats a path for git.
func quote(path string) string {
	if !strings.ContainsAny(path, "\n\"\\") && path != "" && path[0] != ' ' {
		return path
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(path) + `"`
}
