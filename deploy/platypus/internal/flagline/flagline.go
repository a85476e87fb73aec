// Package flagline reorders a command line as the flag package of Go needs it: flags before arguments, global flags
// before the verb. People can then write them in any order. An unknown word is answered with the nearest known one.
package flagline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Arrange returns args, whose first element is the name of the program, in that order.
func Arrange(app *cli.App, args []string) ([]string, error) {
	l := commandLine{globals: known(app.Flags), app: app}
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
			used, err := l.addFlag(word, rest)
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
	return l.joined(args[0]), nil
}

// UnknownVerbError is a verb that the program does not have.
type UnknownVerbError struct {
	Verb       string
	suggestion string // the end of the message
}

// UnknownVerb returns the error about a verb that an app does not have.
func UnknownVerb(app *cli.App, verb string) error {
	return UnknownVerbError{verb, suggestion(verb, Verbs(app))}
}

// Error names the verb and the closest known one.
func (e UnknownVerbError) Error() string {
	return fmt.Sprintf("unknown verb %q%s", e.Verb, e.suggestion)
}

// commandLine is a command line split into its parts.
type commandLine struct {
	app         *cli.App
	globals     map[string]bool // flag to whether it takes a value
	verb        *cli.Command
	verbFlags   map[string]bool // of the verb
	globalWords []string        // global flags
	earlyWords  []string        // flags of some verb, given before the verb
	verbWords   []string        // flags of the verb
	arguments   []string
}

func (l *commandLine) command(word string) error {
	l.verb = l.app.Command(word)
	if l.verb == nil && word == "help" { // an app may leave help to the library
		l.verb = &cli.Command{Name: "help"}
	}
	if l.verb == nil {
		return UnknownVerb(l.app, word)
	}
	l.verbFlags = known(l.verb.Flags)
	l.verbFlags["help"], l.verbFlags["h"] = false, false
	early := l.earlyWords
	for len(early) > 0 { // flags given before the verb belong to it
		used, err := l.addFlag(early[0], early[1:])
		if err != nil {
			return err
		}
		early = early[1+used:]
	}
	return nil
}

// findVerbFlag reports whether some verb has a flag of that name, and whether it takes a value.
func (l *commandLine) findVerbFlag(name string) (value, ok bool) {
	for _, c := range l.app.Commands {
		if takes, has := known(c.Flags)[name]; has {
			return takes, true
		}
	}
	return false, false
}

// addFlag sorts a flag into its part and returns how many of the following words belong to it.
func (l *commandLine) addFlag(word string, rest []string) (used int, err error) {
	name, _, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
	into := &l.verbWords
	value, ok := l.verbFlags[name]
	if !ok {
		into = &l.globalWords
		value, ok = l.globals[name]
	}
	if !ok && l.verb == nil {
		into = &l.earlyWords
		value, ok = l.findVerbFlag(name)
	}
	if !ok {
		return 0, fmt.Errorf("unknown flag %q%s", word, suggestion(name, dashed(l.verbFlags, l.globals)))
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

func (l *commandLine) joined(program string) []string {
	words := append([]string{program}, l.globalWords...)
	if l.verb == nil {
		return words
	}
	words = append(append(words, l.verb.Name), l.verbWords...)
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
