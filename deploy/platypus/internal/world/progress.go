package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Live is the phase of a [Progress] whose version runs, healthy, with its ports open.
const Live = "live"

// Progress is the state of one version of an app on one node, independent of other versions.
type Progress struct {
	Node          intent.Name
	Phase         string // Live, or the phase of the agent that the version waits for
	Reason        string
	Failures      int      // consecutive failures of this version
	Final         bool     // waiting longer cannot help
	OtherFailures []string // failures of other versions, in words: not part of this outcome
}

// Progress returns the state of the given version, or of the stop of the app if version is "".
func (r Row) Progress(version intent.Name) Progress {
	if version == "" {
		return r.stopProgress()
	}
	p := Progress{Node: r.Node, Phase: Live}
	var installed, live Stage
	for _, l := range r.Stages {
		switch {
		case l.Agent == Preparer:
			installed = l
		case l.Agent == Setlive:
			live = l
		case p.Phase == Live && !l.OK():
			p.Phase, p.Reason, p.Failures = l.State.Phase, reasonWithError(l.State), l.State.Attempts
			p.Final = l.State.Phase == intent.PhaseInvalid || l.State.Phase == intent.PhaseIncomplete || l.State.Phase == intent.PhaseHeld
		}
	}
	own, spares := splitFailures(installed, version)
	p.OtherFailures = spares
	if p.Phase != Live {
		return p
	}
	running := live.State.Phase == Converged && live.State.Have == string(version) && live.Want == string(version)
	switch {
	case running:
	case own != "":
		p.Phase, p.Reason = installed.State.Phase, own
		if len(spares) == 0 {
			p.Failures = installed.State.Attempts
		}
	case !slices.Contains(r.Installed, string(version)):
		p.Phase, p.Reason = installed.State.Phase, reasonWithError(installed.State)
		if p.Phase == Failed || p.Phase == Converged { // about other versions, or older intent
			p.Phase, p.Reason = Pending, fmt.Sprintf("%s is not installed yet", version)
		}
	case live.State.Phase == Converged:
		p.Phase, p.Reason = Pending, fmt.Sprintf("setlive runs %s", orNothing(live.State.Have))
	default:
		p.Phase, p.Reason, p.Failures = live.State.Phase, reasonWithError(live.State), live.State.Attempts
		p.Final = isRejection(live.State, version) || p.Phase == intent.PhaseHeld
	}
	return p
}

func (r Row) stopProgress() Progress {
	if r.Converged() {
		return Progress{Node: r.Node, Phase: Live}
	}
	final := r.Phase == intent.PhaseInvalid || r.Phase == intent.PhaseHeld
	return Progress{Node: r.Node, Phase: r.Phase, Reason: r.Reason, Final: final}
}

// Refused reports whether the node tried a version and rolled back from it, as far as its setlive remembers.
func (r Row) Refused(version intent.Name) bool {
	refused := false
	for _, l := range r.Stages {
		if l.Agent != Setlive {
			continue
		}
		for _, t := range l.State.Transitions {
			if t.Want == string(version) {
				refused = refused && t.Phase != Converged || t.Phase == Reverted || t.Phase == Failing
			}
		}
		refused = refused && (l.State.Phase != Converged || l.State.Have != string(version)) || isRejection(l.State, version)
	}
	return refused
}

func isRejection(s intent.State, version intent.Name) bool {
	return (s.Phase == Reverted || s.Phase == Failing) && s.Want == string(version)
}

// splitFailures splits the failures that preparer reports, "v2: not_found: …; v3: …", into those of one version and the
// rest. A failure that names no version concerns all of them.
func splitFailures(l Stage, version intent.Name) (own string, others []string) {
	if l.State.Phase != Failed {
		return "", nil
	}
	mine, wanted := true, splitList(l.Want)
	var parts []string
	for part := range strings.SplitSeq(reasonWithError(l.State), "; ") {
		of, _, named := strings.Cut(part, ": ")
		begins := named && slices.Contains(wanted, of)
		if begins {
			mine = of == string(version)
		}
		switch {
		case mine:
			parts = append(parts, part)
		case begins:
			others = append(others, part)
		default: // the previous part continues: its text contains a semicolon
			others[len(others)-1] += "; " + part
		}
	}
	return strings.Join(parts, "; "), others
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
