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

// command is one run of a verb: its arguments, streams and store.
type command struct {
	flags     *cli.Context
	args      []string
	in        io.Reader
	out       io.Writer // data
	errOut    io.Writer // messages
	json      bool
	tree      intent.Tree
	store     *store.Store
	style     style          // of out
	dryWrites []store.Change // writes that a dry run of a verb with several arguments has collected
}

func newCommand(c *cli.Context) (*command, error) {
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
	cmd := &command{
		flags: c, args: c.Args().Slice(), in: c.App.Reader, out: c.App.Writer, errOut: c.App.ErrWriter,
		tree: tree, store: s, style: style{colour: useColour(c.App.Writer)},
	}
	switch format := c.String("output"); format {
	case "json":
		cmd.json, cmd.style.colour = true, false
	case "table", "":
	default:
		return nil, usage("--output %q is not table or json", format)
	}
	return cmd, nil
}

// say talks to the person.
func (cmd *command) infof(format string, args ...any) {
	fmt.Fprintln(cmd.errOut, withoutEscapes(fmt.Sprintf(format, args...)))
}

// print writes data.
func (cmd *command) printf(format string, args ...any) {
	fmt.Fprintln(cmd.out, withoutEscapes(fmt.Sprintf(format, args...)))
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

// printJSON prints data for programs. Every document names its format, which stays compatible within one version
// number.
func (cmd *command) printJSON(kind string, members map[string]any) error {
	if !strings.Contains(kind, "/") {
		kind += "/1"
	}
	members["format"] = "platypus." + kind
	encoder := json.NewEncoder(cmd.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(members)
}

// maxNotes limits the notes about skipped files: a directory may hold thousands of them.
const maxNotes = 5

// readFiles reads the intent that the arguments name and notes skipped files.
func (cmd *command) readFiles() (intentfile.Files, error) {
	files, err := intentfile.Reader{Tree: cmd.tree, Stdin: cmd.in}.Read(cmd.args...)
	for i, note := range files.Notes {
		if i == maxNotes && len(files.Notes) > maxNotes+1 {
			cmd.infof("note: %d more files are left out", len(files.Notes)-i)
			break
		}
		cmd.infof("note: %s", note)
	}
	return files, err
}

// nameArg parses an argument as a name.
func (cmd *command) nameArg(i int, what string) (intent.Name, error) {
	name, err := intent.ParseName(cmd.args[i])
	if err != nil {
		return "", usage("%s: %w", what, err)
	}
	return name, nil
}

// interactive reports whether a question can be seen and answered: it is printed to standard error and answered on
// standard input, so both must be terminals.
func (cmd *command) interactive() bool { return isTerminal(cmd.in) && isTerminal(cmd.errOut) }

// askConfirmation asks a question on a terminal. Off a terminal it fails and names --yes.
func (cmd *command) askConfirmation(question string) error {
	if cmd.flags.Bool("yes") || cmd.isDryRun() {
		return nil
	}
	if !cmd.interactive() {
		return fmt.Errorf("%s nobody is here to answer: give --yes", question)
	}
	fmt.Fprintf(cmd.errOut, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(cmd.in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-cmd.flags.Done(): // Ctrl-C: the blocked read would not notice it
		cmd.infof("")
		return fmt.Errorf("interrupted: nothing was written")
	case a := <-answer:
		switch strings.ToLower(a) {
		case "y", "yes":
			return nil
		case "", "n", "no":
			return fmt.Errorf("not agreed: nothing was written")
		}
		return fmt.Errorf("%q is neither y nor n: nothing was written; --yes answers in scripts and pasted lines", printable(a))
	}
}
