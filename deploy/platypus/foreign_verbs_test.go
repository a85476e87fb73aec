package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// TestRivals_Word_NamesVerbsThatExist holds the answers to words of other tools to the verbs that there are.
func TestRivals_Word_NamesVerbsThatExist(t *testing.T) {
	app := newApp(stdio{})
	named := regexp.MustCompile(`platypus (?:--root \S+ )?([a-z]+)`)
	for word, answer := range foreignVerbs {
		found := named.FindAllStringSubmatch(answer, -1)
		for _, m := range found {
			if app.Command(m[1]) == nil {
				t.Errorf("%s: there is no verb %s: %s", word, m[1], answer)
			}
		}
		if len(answer) > 260 {
			t.Errorf("%s: %d characters: %s", word, len(answer), answer)
		}
	}
	for _, word := range strings.Fields("deploy logs scale stop start restart exec ssh destroy env secrets up down ps run branch merge undo reset") {
		var out bytes.Buffer
		if app.Command(word) != nil {
			continue
		}
		if code := run(t.Context(), []string{"platypus", word, "slug"}, stdio{strings.NewReader(""), &out, &out}); code != exitUsage {
			t.Errorf("%s: exit %d", word, code)
		}
		if !strings.Contains(out.String(), `there is no verb "`+word+`": `) {
			t.Errorf("%s is answered with %s", word, out.String())
		}
	}
}
