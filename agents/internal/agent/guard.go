package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// confirmationLife is how long a person's confirmation of removals is valid.
const confirmationLife = time.Hour

// GuardApps protects the apps that owned finds on the host from being removed by mistake. It belongs to [OfNode].
// recorded returns the node that the host itself records as the owner of an app, "" when there is none; it may be nil.
//
// One app of several is removed at once. All removals are held until a person confirms when
//   - the host records an app to be removed as another node's: --node is missing or wrong;
//   - this state directory served another node or root;
//   - the store was reset to an older state;
//   - every app would be removed, even one of one, and nothing is declared for the node: a wrong name, or a recursive
//     delete that reached too far. Apps that the allocator had placed and now removes do not count;
//   - it was held before, and is not declared again.
//
// A confirmation ends with the removal, when something that it names is declared again, or after an hour.
func GuardApps[A any](a *Agent, owned func(A) []string, recorded func(A, string) intent.Name) *converge.Guard[intent.Node, A] {
	a.identity = newIdentity(a)
	return &converge.Guard[intent.Node, A]{
		Owned: owned, Wanted: appNames, Gone: a.confirmDeleted, Confirmed: a.Confirmed, Hold: markHeld, Memory: a.Removals(),
		Blank:   func(ctx context.Context) (bool, error) { return a.Store.Blank(ctx, a.Tree.Clusters()) },
		Settled: func(node intent.Node) { a.identity.acceptCurrent(node.Index) }, Reread: a.readConsistent,
		Suspect: func(node intent.Node, actual A, vanished []string, all bool) string {
			if why := foreignReason(a.Node, vanished, func(app string) intent.Name {
				if recorded == nil {
					return ""
				}
				return recorded(actual, app)
			}); why != "" {
				return why
			}
			if why := a.identity.changeReason(); why != "" {
				return why
			}
			if all && len(node.Apps) == 0 && !a.identity.allPlaced(vanished) {
				return fmt.Sprintf("nothing is declared for node %s (%s)", a.Node, a.Tree.Node(a.Node))
			}
			return a.identity.setBackReason()
		},
	}
}

// foreignReason names the vanished apps that the host records as another node's, "" when there are none.
func foreignReason(node intent.Name, vanished []string, recorded func(app string) intent.Name) string {
	of, apps := intent.Name(""), []string(nil)
	for _, app := range vanished {
		if other := recorded(app); other != "" && other != node && (of == "" || of == other) {
			of, apps = other, append(apps, app)
		}
	}
	if of == "" {
		return ""
	}
	if len(apps) > 3 {
		apps = append(apps[:3], fmt.Sprintf("%d more", len(apps)-3))
	}
	return fmt.Sprintf("this host records %s as node %s's while this is node %s (did you mean --node %s?)",
		strings.Join(apps, ", "), of, node, of)
}

func appNames(node intent.Node) (names []string) {
	for _, app := range node.Apps {
		names = append(names, string(app.Name))
	}
	return names
}

// confirmDeleted reports, from consistent reads, that neither a person nor the allocator assigns the app to this node.
func (a *Agent) confirmDeleted(ctx context.Context, app string) (bool, error) {
	name, err := intent.ParseName(app)
	if err != nil {
		return false, err
	}
	gone, err := a.Store.Gone(ctx, a.Tree.Assignment(a.Node, name))
	if err != nil || !gone {
		return false, err
	}
	return a.Store.Gone(ctx, a.Tree.Placement(a.Node, name))
}

// markHeld marks the subjects, and with everything also the sound apps, as held.
func markHeld(node intent.Node, subjects map[string]string, everything *converge.Held) intent.Node {
	node.Apps = slices.Clone(node.Apps)
	for i := range node.Apps {
		if everything != nil && node.Apps[i].Sound() {
			node.Apps[i].Phase, node.Apps[i].Reason = intent.PhaseHeld, everything.String()
		}
	}
	for name, reason := range subjects {
		node.Apps = append(node.Apps, intent.App{Name: intent.Name(name), Phase: intent.PhaseHeld, Reason: reason})
	}
	slices.SortFunc(node.Apps, func(x, y intent.App) int { return cmp.Compare(x.Name, y.Name) })
	return node
}

// Confirmed reports whether a person agreed to these removals within the last hour, this time. See [Agent.Removals].
func (a *Agent) Confirmed(ctx context.Context, removes []string) (bool, error) {
	given, err := a.confirmation(ctx)
	if err != nil || given == nil {
		return false, err
	}
	c := intent.Confirmation{Removes: given.Removes, At: given.At}
	return c.Covers(removes, time.Now(), confirmationLife) && a.removals.use(given), nil
}
