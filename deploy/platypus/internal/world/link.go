package world

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Phases that say how far an agent's word can be trusted, beside those that agents use.
const (
	Converged = "converged"
	Pending   = "pending" // the agent has not seen the newest intent, or says nothing of the app
	Silent    = "silent"  // no report at all
	Stale     = "stale"   // the agent that reported is not alive
)

// Phases that agents use and that people are advised on.
const (
	Failed   = "failed"   // the last attempt failed; it is tried again
	Reverted = "reverted" // the active version did not become healthy; the one before runs
	Failing  = "failing"  // nor is there one before
	Conflict = "conflict" // another app had the port first
)

// Link is one agent's share in bringing an app live on a node.
type Link struct {
	Stage string // declared, installed, opened, live
	Agent string // "" for declared
	Want  string
	State intent.State // what the agent last said; the phase is one of those above when that cannot be trusted
	Idle  bool         // nothing is asked of this agent
	Next  string       // what a person can do, or ""
}

// MarshalJSON writes the link for programs.
func (l Link) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"stage": l.Stage, "agent": l.Agent, "want": l.Want, "ok": l.OK(), "state": l.State, "next": l.Next})
}

// OK reports whether nothing is left to do here.
func (l Link) OK() bool { return l.Idle || l.State.Phase == Converged }

// Who put an app on a node, as the reason of a declared link that is well.
const (
	byPerson    = "by people, complete and valid"
	byAllocator = "by the allocator for a vm, complete and valid"
)

// declared is the first link: whether the intent can be acted upon.
func declared(app intent.App, tree intent.Tree) Link {
	l := Link{Stage: "declared", State: intent.State{Phase: Converged, Reason: byPerson}}
	if app.Sound() {
		return l
	}
	l.State = intent.State{Phase: app.Phase, Reason: app.Reason}
	switch app.Phase {
	case intent.PhaseIncomplete:
		l.Next = "declare it: platypus apply FILE"
	case intent.PhaseInvalid:
		l.Next = fmt.Sprintf("mend the value and check it first: platypus validate FILE (now: consul kv get %s)",
			tree.Config(app.Name, app.Cluster))
	}
	return l
}

// link is what an agent says of an app, as far as it can be trusted.
func (w World) link(stage, agent string, node intent.Name, app intent.App, want string) Link {
	who := Who{agent, node}
	report, reported := w.Reports[who]
	state, known := report.Subjects[string(app.Name)]
	l := Link{Stage: stage, Agent: agent, Want: want, State: state}
	l.Idle = want == "" && (!known || state.Phase == Converged)
	alive := w.Alive[who]
	start := fmt.Sprintf("start it on %s: %s (its log says more)", node, agent)
	switch {
	case !reported && alive:
		l.State = intent.State{Phase: Pending, Reason: agent + " runs and has not reported yet"}
	case !reported:
		l.State = intent.State{Phase: Silent, Reason: agent + ": no report"}
		l.Next = start
	case !alive:
		l.State.Phase, l.State.Reason = Stale, agent+" is not alive"
		if state.Phase != "" && state.Phase != Converged {
			l.State.Reason += "; last it said: " + strings.TrimSpace(state.Phase+" "+state.Reason)
		}
		l.Next = start
	case report.IntentIndex < app.Index:
		l.State.Phase, l.State.Reason = Pending, fmt.Sprintf("%s has not seen the newest intent (it saw index %d, the app changed at %d)", agent, report.IntentIndex, app.Index)
	case !known:
		l.State = intent.State{Phase: Pending, Reason: agent + " says nothing of it yet", Since: report.Since}
	case state.Phase != Converged:
		l.Next = advice(state, node)
	}
	return l
}

// advice is what a person can do about a state.
func advice(s intent.State, node intent.Name) string {
	switch {
	case s.Phase == intent.PhaseHeld:
		return fmt.Sprintf("if the removal is meant: platypus confirm %s", node)
	case s.Phase == intent.PhaseInvalid || s.Phase == intent.PhaseIncomplete:
		return "mend the intent: platypus validate FILE, then platypus apply FILE"
	case s.Phase == Reverted:
		return "the version before runs on: declare that (platypus rollback APP), or roll out a mended one (platypus rollout APP VERSION)"
	case s.Phase == Failing:
		return "roll out a mended version: platypus rollout APP VERSION"
	case s.Phase == Conflict:
		return "give one of the two apps another port in its deploy_config"
	case s.Phase == Failed:
		return "remove the cause that is named; it is tried again by itself"
	}
	return ""
}

// Has reports whether a list in a report, such as "1.0, 1.1", names the version.
func Has(list string, version intent.Name) bool {
	return slices.Contains(words(list), string(version))
}

// words splits at what cannot be part of a name.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// Age says how long ago something was, shortly.
func Age(since, now time.Time) string {
	d := now.Sub(since)
	switch {
	case since.IsZero():
		return "-"
	case d < time.Second:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
