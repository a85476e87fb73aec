package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Live is the phase of a [Progress] whose version runs, healthy, with its ports open.
const Live = "live"

// Progress is how far one version of an app is on one node, whatever becomes of the other versions there.
type Progress struct {
	Node   intent.Name
	Phase  string // Live, or the phase of the agent that the version waits for
	Reason string
	Tries  int      // failures in a row that are about this version
	Final  bool     // waiting longer is of no use
	Spares []string // what fails about other versions, in words: no part of this one's outcome
}

// Progress returns how far the version is that the row is asked about, or how far the app is from having stopped when
// version is "".
func (r Row) Progress(version intent.Name) Progress {
	if version == "" {
		return r.stopProgress()
	}
	p := Progress{Node: r.Node, Phase: Live}
	var installed, live Link
	for _, l := range r.Links {
		switch {
		case l.Agent == Preparer:
			installed = l
		case l.Agent == Setlive:
			live = l
		case p.Phase == Live && !l.OK():
			p.Phase, p.Reason, p.Tries = l.State.Phase, bareReason(l.State), l.State.Attempts
			p.Final = l.State.Phase == intent.PhaseInvalid || l.State.Phase == intent.PhaseIncomplete || l.State.Phase == intent.PhaseHeld
		}
	}
	own, spares := troubles(installed, version)
	p.Spares = spares
	if p.Phase != Live {
		return p
	}
	running := live.State.Phase == Converged && live.State.Have == string(version) && live.Want == string(version)
	switch {
	case running:
	case own != "":
		p.Phase, p.Reason = installed.State.Phase, own
		if len(spares) == 0 {
			p.Tries = installed.State.Attempts
		}
	case !slices.Contains(r.Installed, string(version)):
		p.Phase, p.Reason = installed.State.Phase, bareReason(installed.State)
		if p.Phase == Failed || p.Phase == Converged { // of other versions, or of older intent
			p.Phase, p.Reason = Pending, fmt.Sprintf("%s is not installed yet", version)
		}
	case live.State.Phase == Converged:
		p.Phase, p.Reason = Pending, fmt.Sprintf("setlive runs %s", orNothing(live.State.Have))
	default:
		p.Phase, p.Reason, p.Tries = live.State.Phase, bareReason(live.State), live.State.Attempts
		p.Final = refuses(live.State, version) || p.Phase == intent.PhaseHeld
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

// Refused reports whether the node tried a version and went back from it, as far as its setlive remembers.
func (r Row) Refused(version intent.Name) bool {
	refused := false
	for _, l := range r.Links {
		if l.Agent != Setlive {
			continue
		}
		for _, t := range l.State.Transitions {
			if t.Want == string(version) {
				refused = refused && t.Phase != Converged || t.Phase == Reverted || t.Phase == Failing
			}
		}
		refused = refused && (l.State.Phase != Converged || l.State.Have != string(version)) || refuses(l.State, version)
	}
	return refused
}

func refuses(s intent.State, version intent.Name) bool {
	return (s.Phase == Reverted || s.Phase == Failing) && s.Want == string(version)
}

// troubles splits what preparer reports as failed, "v2: not_found: …; v3: …", into that of one version and the rest.
// What names no version concerns all of them.
func troubles(l Link, version intent.Name) (own string, spares []string) {
	if l.State.Phase != Failed {
		return "", nil
	}
	mine, wanted := true, list(l.Want)
	var parts []string
	for part := range strings.SplitSeq(bareReason(l.State), "; ") {
		of, _, named := strings.Cut(part, ": ")
		begins := named && slices.Contains(wanted, of)
		if begins {
			mine = of == string(version)
		}
		switch {
		case mine:
			parts = append(parts, part)
		case begins:
			spares = append(spares, part)
		default: // the version before goes on: its text holds a semicolon
			spares[len(spares)-1] += "; " + part
		}
	}
	return strings.Join(parts, "; "), spares
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
