package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// checkDeclared logs once that nothing is declared for the node, since --node may be wrong. The report shows it, too.
func (a *Agent) checkDeclared(ctx context.Context, node intent.Node) {
	if len(node.Apps) > 0 {
		a.undeclared.Store("")
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
	a.undeclared.Store(text)
	a.Log.Warn("", text)
}

// undeclaredReason returns why the agent has nothing to do, "" when something is declared.
func (a *Agent) undeclaredReason() string {
	text, _ := a.undeclared.Load().(string)
	return text
}

// nearNode returns the declared node whose name is most similar to this one's, "" when none is or the token may not
// read the names: agents do not need that right.
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
