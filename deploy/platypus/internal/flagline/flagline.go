// Package flagline puts the words of a command line into the order that the flag package of Go wants: flags before
// arguments, global flags before the verb. People may then write them anywhere. A word that nobody knows is answered
// with the nearest that is known.
package flagline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Arrange returns args, whose first is the program's name, in the order wanted.
func Arrange(app *cli.App, args []string) ([]string, error) {
	l := line{globals: known(app.Flags), app: app}
	l.globals["help"], l.globals["h"], l.globals["version"], l.globals["v"] = false, false, false, false
	rest := args[1:]
	for len(rest) > 0 {
		word := rest[0]
		rest = rest[1:]
		switch {
		case word == "--":
			l.arguments = append(l.arguments, rest...)
			rest = nil
		case len(word) > 1 && word[0] == '-':
			used, err := l.flag(word, rest)
			if err != nil {
				return nil, err
			}
			rest = rest[used:]
		case l.verb == nil:
			if err := l.command(word); err != nil {
				return nil, err
			}
		default:
			l.arguments = append(l.arguments, word)
		}
	}
	return l.words(args[0]), nil
}

// UnknownVerbError is a verb that the program does not have.
type UnknownVerbError struct {
	Verb string
	near string // the tail of the sentence
}

// UnknownVerb is the error about a verb that an app does not have.
func UnknownVerb(app *cli.App, verb string) error {
	return UnknownVerbError{verb, meant(verb, Verbs(app))}
}

// Error names the verb, and the one that was probably meant.
func (e UnknownVerbError) Error() string { return fmt.Sprintf("unknown verb %q%s", e.Verb, e.near) }

// line is a command line taken apart.
type line struct {
	app       *cli.App
	globals   map[string]bool // flag to whether it takes a value
	verb      *cli.Command
	own       map[string]bool // flags of the verb
	before    []string        // global flags
	early     []string        // flags of some verb, given before it was
	after     []string        // flags of the verb
	arguments []string
}

func (l *line) command(word string) error {
	l.verb = l.app.Command(word)
	if l.verb == nil && word == "help" { // an app may leave it to the library
		l.verb = &cli.Command{Name: "help"}
	}
	if l.verb == nil {
		return UnknownVerb(l.app, word)
	}
	l.own = known(l.verb.Flags)
	l.own["help"], l.own["h"] = false, false
	early := l.early
	for len(early) > 0 { // what was given before the verb is the verb's now
		used, err := l.flag(early[0], early[1:])
		if err != nil {
			return err
		}
		early = early[1+used:]
	}
	return nil
}

// ofAnyVerb reports whether some verb has a flag of that name, and whether it takes a value.
func (l *line) ofAnyVerb(name string) (value, ok bool) {
	for _, c := range l.app.Commands {
		if takes, has := known(c.Flags)[name]; has {
			return takes, true
		}
	}
	return false, false
}

// flag sorts a flag in and returns how many of the words that follow belong to it.
func (l *line) flag(word string, rest []string) (used int, err error) {
	name, _, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
	into := &l.after
	value, ok := l.own[name]
	if !ok {
		into = &l.before
		value, ok = l.globals[name]
	}
	if !ok && l.verb == nil {
		into = &l.early
		value, ok = l.ofAnyVerb(name)
	}
	if !ok {
		return 0, fmt.Errorf("unknown flag %q%s", word, meant(name, dashed(l.own, l.globals)))
	}
	*into = append(*into, word)
	if !value || given {
		return 0, nil
	}
	if len(rest) == 0 {
		return 0, fmt.Errorf("flag %s needs a value", word)
	}
	*into = append(*into, rest[0])
	return 1, nil
}

func (l *line) words(program string) []string {
	words := append([]string{program}, l.before...)
	if l.verb == nil {
		return words
	}
	words = append(append(words, l.verb.Name), l.after...)
	if slices.ContainsFunc(l.arguments, func(a string) bool { return len(a) > 1 && a[0] == '-' }) {
		words = append(words, "--")
	}
	return append(words, l.arguments...)
}

// Verbs returns the names of all verbs that are not hidden.
func Verbs(app *cli.App) (names []string) {
	for _, c := range app.Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

func known(flags []cli.Flag) map[string]bool {
	names := map[string]bool{}
	for _, f := range flags {
		takes, ok := f.(cli.DocGenerationFlag)
		for _, name := range f.Names() {
			names[name] = ok && takes.TakesValue()
		}
	}
	return names
}

func dashed(sets ...map[string]bool) (names []string) {
	for _, set := range sets {
		for name := range set {
			if len(name) > 1 {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
