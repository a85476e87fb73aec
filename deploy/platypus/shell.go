package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// shell is what a verb has to work with.
type shell struct {
	flags *cli.Context
	args  []string
	in    io.Reader
	out   io.Writer // data
	err   io.Writer // talk
	json  bool
	tree  intent.Tree
	store *store.Store
	style style          // of out
	aside []store.Change // what a dry run of a verb with several arguments would have written so far
}

func newShell(c *cli.Context) (*shell, error) {
	tree, err := intent.ParseRoot(c.String("root"))
	if err != nil {
		return nil, usage("--root: %w", err)
	}
	s, err := store.Open(store.Config{
		Address: c.String("http-addr"), TokenFile: c.String("token-file"), CAFile: c.String("ca-file"),
		CertFile: c.String("client-cert"), KeyFile: c.String("client-key"),
		Namespace: c.String("namespace"), Partition: c.String("partition"), Dry: c.Bool("dry-run"),
	})
	if err != nil {
		return nil, err
	}
	sh := &shell{
		flags: c, args: c.Args().Slice(), in: c.App.Reader, out: c.App.Writer, err: c.App.ErrWriter,
		tree: tree, store: s, style: style{colour: colourful(c.App.Writer)},
	}
	switch format := c.String("output"); format {
	case "json":
		sh.json, sh.style.colour = true, false
	case "table", "":
	default:
		return nil, usage("--output %q is not table or json", format)
	}
	return sh, nil
}

// say talks to the person.
func (sh *shell) say(format string, args ...any) {
	fmt.Fprintln(sh.err, withoutEscapes(fmt.Sprintf(format, args...)))
}

// print writes data.
func (sh *shell) print(format string, args ...any) {
	fmt.Fprintln(sh.out, withoutEscapes(fmt.Sprintf(format, args...)))
}

// colours are the only escape sequences that this program writes itself.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// withoutEscapes takes out whatever else could steer a terminal, wherever a text came from: lines and colours stay.
func withoutEscapes(text string) string {
	var b strings.Builder
	rest := text
	for {
		at := colours.FindStringIndex(rest)
		end := len(rest)
		if at != nil {
			end = at[0]
		}
		b.WriteString(strings.Map(func(r rune) rune {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
				return ' '
			}
			return r
		}, rest[:end]))
		if at == nil {
			return b.String()
		}
		b.WriteString(rest[at[0]:at[1]])
		rest = rest[at[1]:]
	}
}

// printJSON writes data for programs. Every document names its format, which only grows within one number.
func (sh *shell) printJSON(kind string, members map[string]any) error {
	if !strings.Contains(kind, "/") {
		kind += "/1"
	}
	members["format"] = "platypus." + kind
	encoder := json.NewEncoder(sh.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(members)
}

// maxNotes bounds what is said of files that are left out: a directory may hold thousands of them.
const maxNotes = 5

// files reads the intent that the arguments name and tells what was left out.
func (sh *shell) files() (intentfile.Files, error) {
	files, err := intentfile.Reader{Tree: sh.tree, Stdin: sh.in}.Read(sh.args...)
	for i, note := range files.Notes {
		if i == maxNotes && len(files.Notes) > maxNotes+1 {
			sh.say("note: %d more files are left out", len(files.Notes)-i)
			break
		}
		sh.say("note: %s", note)
	}
	return files, err
}

// name reads an argument as a name.
func (sh *shell) name(i int, what string) (intent.Name, error) {
	name, err := intent.ParseName(sh.args[i])
	if err != nil {
		return "", usage("%s: %w", what, err)
	}
	return name, nil
}

// interactive reports whether a question can be seen and answered: it is printed on standard error and answered on
// standard input, so both must be terminals.
func (sh *shell) interactive() bool { return terminal(sh.in) && terminal(sh.err) }

// agree asks a question on a terminal. Off a terminal nobody can answer, so that is an error that names --yes.
func (sh *shell) agree(question string) error {
	if sh.flags.Bool("yes") || sh.dry() {
		return nil
	}
	if !sh.interactive() {
		return fmt.Errorf("%s nobody is here to answer: give --yes", question)
	}
	fmt.Fprintf(sh.err, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(sh.in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-sh.flags.Done(): // Ctrl-C, which the read would not notice
		sh.say("")
		return fmt.Errorf("interrupted: nothing was written")
	case a := <-answer:
		switch strings.ToLower(a) {
		case "y", "yes":
			return nil
		case "", "n", "no":
			return fmt.Errorf("not agreed: nothing was written")
		}
		return fmt.Errorf("%q is neither y nor n: nothing was written; --yes answers in scripts and pasted lines", tame(a))
	}
}
