package main

import (
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// appNotDeclared is the error for an app that is declared nowhere.
func appNotDeclared(app string, known []intent.Name) error { return notDeclared("app", app, known) }

// notDeclared is the error for an undeclared name, with the closest known one.
func notDeclared(what, name string, known []intent.Name) error {
	words := make([]string, 0, len(known))
	for _, k := range known {
		words = append(words, string(k))
	}
	if near := flagline.Nearest(name, words); near != "" && near != name {
		return fmt.Errorf("%s %q is not declared: did you mean %q?", what, name, near)
	}
	return fmt.Errorf("%s %q is not declared: platypus status shows what there is", what, name)
}

// checkNode returns an error if nothing is declared for a node, and no agent is alive there or has ever reported: the
// name is probably a typing error.
func checkNode(w world.Snapshot, node intent.Name) error {
	known := w.Nodes()
	for who := range w.Reports {
		known = append(known, who.Node)
	}
	for who := range w.Alive {
		known = append(known, who.Node)
	}
	if slices.Contains(known, node) {
		return nil
	}
	words := make([]string, 0, len(known))
	for _, k := range known {
		words = append(words, string(k))
	}
	slices.Sort(words)
	if near := flagline.Nearest(string(node), words); near != "" {
		return fmt.Errorf("nothing is declared for node %s (did you mean %s?)", node, near)
	}
	return fmt.Errorf("nothing is declared for node %s: %s%s/ is empty", node, w.Tree.Nodes(), node)
}
