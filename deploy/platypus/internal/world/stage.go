package world

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Phases that say how far the report of an agent can be trusted, in addition to those that agents use.
const (
	Converged = "converged"
	Pending   = "pending" // the agent has not seen the newest intent, or does not report the app
	Silent    = "silent"  // no report at all
	Stale     = "stale"   // the agent that reported is not alive
)

// Phases of agents for which there is advice.
const (
	Failed   = "failed"   // the last attempt failed; the agent retries
	Reverted = "reverted" // the active version did not become healthy; the previous one runs
	Failing  = "failing"  // like reverted, without a previous version
	Conflict = "conflict" // another app claimed the port first
)

// Stage is the part of one agent in bringing an app live on a node.
type Stage struct {
	Name  string // declared, installed, opened, live
	Agent string // "" for declared
	Want  string
	State intent.State // what the agent last reported; with a phase of the list above if that cannot be trusted
	Idle  bool         // nothing is requested from this agent
	Next  string       // what a person can do, or ""
}

// MarshalJSON writes the stage for programs.
func (l Stage) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"stage": l.Name, "agent": l.Agent, "want": l.Want, "ok": l.OK(), "state": l.State, "next": l.Next})
}

// OK reports whether nothing is left to do here.
func (l Stage) OK() bool { return l.Idle || l.State.Phase == Converged }

// Who assigned an app to a node, as the reason of a declared stage that is OK.
const (
	byPerson    = "by people, complete and valid"
	byAllocator = "by the allocator for a vm, complete and valid"
)

// declaredStage is the first stage: whether the intent is usable.
func declaredStage(app intent.App, tree intent.Tree) Stage {
	l := Stage{Name: "declared", State: intent.State{Phase: Converged, Reason: byPerson}}
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

// stage returns what an agent reports about an app, as far as that can be trusted.
func (w Snapshot) stage(stage, agent string, node intent.Name, app intent.App, want string) Stage {
	who := AgentID{agent, node}
	report, reported := w.Reports[who]
	state, known := report.Subjects[string(app.Name)]
	l := Stage{Name: stage, Agent: agent, Want: want, State: state}
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
		l.Next = nextStep(state, node)
	}
	return l
}

// nextStep returns what a person can do about a state.
func nextStep(s intent.State, node intent.Name) string {
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

// ListContains reports whether a list in a report, such as "1.0, 1.1", names the version.
func ListContains(list string, version intent.Name) bool {
	return slices.Contains(splitNames(list), string(version))
}

// splitNames splits at characters that cannot be part of a name.
func splitNames(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// Age returns how long ago something was, in short form.
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
