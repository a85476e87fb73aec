package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// checkDeclared says once that nothing at all is declared for the node, for its name may be wrong. The report says it too.
func (a *Agent) checkDeclared(ctx context.Context, node intent.Node) {
	if len(node.Apps) > 0 {
		a.shell.undeclared.Store("")
		return
	}
	if a.undeclaredReason() != "" {
		return
	}
	text := fmt.Sprintf("nothing is declared for node %s (%s is empty)", a.Node, a.Tree.Node(a.Node))
	if len(node.Warnings) > 0 {
		text = fmt.Sprintf("nothing that is declared for node %s can be used (%s)", a.Node, a.Tree.Node(a.Node))
	}
	if near := a.nearNode(ctx); near != "" {
		text += fmt.Sprintf("; did you mean %s?", near)
	}
	a.shell.undeclared.Store(text)
	a.Log.Warn("", text)
}

// undeclaredReason says why the agent has nothing to do, "" when it may have something.
func (a *Agent) undeclaredReason() string {
	text, _ := a.shell.undeclared.Load().(string)
	return text
}

// nearNode returns the declared node whose name is nearest to this one's, "" when none is near or the names may not be
// read: an agent needs no right to them.
func (a *Agent) nearNode(ctx context.Context) string {
	prefix := a.Tree.Nodes()
	keys, err := a.Store.Names(ctx, prefix)
	if err != nil {
		return ""
	}
	var nodes []string
	for _, key := range keys {
		name, _, below := strings.Cut(strings.TrimPrefix(key, string(prefix)), "/")
		if below {
			nodes = append(nodes, name)
		}
	}
	return intent.Near(string(a.Node), nodes)
}
