package main

import (
	"fmt"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/intent"
)

// unknownApp says that an app of that name is declared nowhere.
func unknownApp(app string, known []intent.Name) error { return unknown("app", app, known) }

// unknown says that nothing is declared under a name, and which name may have been meant.
func unknown(what, name string, known []intent.Name) error {
	words := make([]string, 0, len(known))
	for _, k := range known {
		words = append(words, string(k))
	}
	if near := flagline.Nearest(name, words); near != "" && near != name {
		return fmt.Errorf("%s %q is not declared: did you mean %q?", what, name, near)
	}
	return fmt.Errorf("%s %q is not declared: platypus status shows what there is", what, name)
}
