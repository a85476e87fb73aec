package agent

import (
	"io"

	"github.com/platypus-platform/platypus/intent"
)

// HasCachedIntent reports whether the state directory holds intent that a start would use.
func HasCachedIntent(dir string, node intent.Name) bool {
	log, err := newLog(io.Discard, "info", "text")
	if err != nil {
		panic(err)
	}
	tree, err := intent.ParseRoot(intent.DefaultRoot)
	if err != nil {
		panic(err)
	}
	_, ok := (&Agent{Name: "toy", Node: node, Tree: tree, StateDir: dir, Log: log}).loadIntent()
	return ok
}
