package main

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
)

// commandPattern is a command line of this program in a text, up to where the sentence goes on.
var commandPattern = regexp.MustCompile("platypus ((?:--root \\S+ )?[a-z]+(?: (?:%[a-z]|'%s'|[A-Z]+[A-Z./]*|-{1,2}[a-z][a-z-]*|@%d|/@%d|KEY@POINT|2h|web|[0-9]+))*)")

// notCommands are words that follow the program's name where no command is meant.
var notCommands = strings.Fields("platypus puffin nor needs")

// TestMessages_Command_IsOneThatCanBeTyped takes every command that a message names apart, as a person would type it: the
// verb exists, and so does each flag.
func TestMessages_Command_IsOneThatCanBeTyped(t *testing.T) {
	app, seen := newApp(stdio{}), 0
	for place, text := range messages(t) {
		for _, m := range commandPattern.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			if slices.Contains(notCommands, words[0]) {
				continue
			}
			seen++
			if _, err := flagline.Arrange(app, append([]string{"platypus"}, words...)); err != nil && !strings.HasSuffix(err.Error(), "needs a value") {
				t.Errorf("%s: %q: %v", place, m[0], err)
			}
			verb := app.Command(words[0])
			if verb == nil {
				continue
			}
			if err := argumentFault(verb, words[1:]); err != "" {
				t.Errorf("%s: %q: %s", place, m[0], err)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d commands were found in the messages", seen)
	}
}

// argumentFault counts the arguments of a command that names all of them.
func argumentFault(c *cli.Command, words []string) string {
	for _, v := range verbs() {
		arguments := 0
		for _, w := range words {
			if !strings.HasPrefix(w, "-") {
				arguments++
			}
		}
		if v.name == c.Name && v.maxArgs >= 0 && arguments > v.maxArgs && !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") }) {
			return "it takes " + v.args
		}
	}
	return ""
}

// messages are the texts of the program, by place.
func messages(t *testing.T) map[string]string {
	texts := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := gotoken.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, is := n.(*ast.BasicLit); is && s.Kind == gotoken.STRING {
				if text, err := strconv.Unquote(s.Value); err == nil {
					texts[set.Position(s.Pos()).String()] = text
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
