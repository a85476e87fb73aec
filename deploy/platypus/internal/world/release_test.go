package world

import (
	"slices"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
)

// TestRow_Progress_OnlyTheVersionAskedAboutCounts: what other versions do is a warning, never an outcome.
func TestRow_Progress_OnlyTheVersionAskedAboutCounts(t *testing.T) {
	converged := intent.State{Phase: Converged}
	live := func(want, have, phase, reason string) Link {
		return Link{Stage: "live", Agent: Setlive, Want: want, State: intent.State{Want: want, Have: have, Phase: phase, Reason: reason}}
	}
	installed := func(want, have, phase, reason string) Link {
		return Link{Stage: "installed", Agent: Preparer, Want: want, State: intent.State{Want: want, Have: have, Phase: phase, Reason: reason, Attempts: 5}}
	}
	for _, test := range []struct {
		name         string
		links        []Link
		phase, words string
		tries        int
		final        bool
		spares       []string
	}{
		{"live", []Link{installed("v1, v2", "v1, v2", Converged, ""), live("v2", "v2", Converged, "")}, Live, "", 0, false, nil},
		{"a spare fails", []Link{installed("v1, v2", "v2", Failed, "v1: not_found: gone; for good"), live("v2", "v2", Converged, "")}, Live, "", 0, false, []string{"v1: not_found: gone; for good"}},
		{"it fails", []Link{installed("v1, v2", "v1", Failed, "v2: not_found: gone"), live("v2", "v1", "waiting", "")}, Failed, "v2: not_found: gone", 5, false, nil},
		{"both fail", []Link{installed("v1, v2", "", Failed, "v1: not_found: gone; v2: bad"), live("v2", "", "waiting", "")}, Failed, "v2: bad", 0, false, []string{"v1: not_found: gone"}},
		{"a spare fails and it is on its way", []Link{installed("v1, v2", "", Failed, "v1: gone"), live("v2", "", "waiting", "")}, Pending, "v2 is not installed yet", 0, false, []string{"v1: gone"}},
		{"the whole place is at fault", []Link{installed("v2", "", Failed, "basedir is a file"), live("v2", "", "waiting", "")}, Failed, "basedir is a file", 5, false, nil},
		{"another one runs", []Link{installed("v1, v2", "v1, v2", Converged, ""), live("v1", "v1", Converged, "")}, Pending, "setlive runs v1", 0, false, nil},
		{"it was refused", []Link{installed("v1, v2", "v1, v2", Converged, ""), live("v2", "v1", Reverted, "reverted from v2 to v1")}, Reverted, "reverted from v2 to v1", 0, true, nil},
		{"another one was refused", []Link{installed("v1, v2", "v1, v2", Converged, ""), live("v1", "v0", Reverted, "reverted from v1 to v0")}, Reverted, "reverted from v1 to v0", 0, false, nil},
		{"a port is taken", []Link{{Stage: "opened", Agent: PortAuthority, Want: "80/tcp", State: intent.State{Phase: Conflict}}, installed("v2", "v2", Converged, ""), live("v2", "v2", Converged, "")}, Conflict, "", 0, false, nil},
		{"its intent is invalid", []Link{{Stage: "declared", State: intent.State{Phase: intent.PhaseInvalid}}, installed("v2", "v2", Converged, ""), live("v2", "v2", Converged, "")}, intent.PhaseInvalid, "", 0, true, nil},
		{"its preparer is dead and it runs", []Link{installed("v2", "v2", Stale, "preparer is not alive"), live("v2", "v2", Converged, "")}, Live, "", 0, false, nil},
	} {
		row := Row{Links: append([]Link{{Stage: "declared", State: converged}}, test.links...)}.judge()
		p := row.Progress("v2")
		if p.Phase != test.phase || p.Reason != test.words || p.Tries != test.tries || p.Final != test.final || !slices.Equal(p.Spares, test.spares) {
			t.Errorf("%s: %+v", test.name, p)
		}
	}
}

// TestRow_Refused_FollowsWhatSetliveRemembers: the last word on a version counts.
func TestRow_Refused_FollowsWhatSetliveRemembers(t *testing.T) {
	for words, want := range map[string]bool{
		"":                                false,
		"converged v2":                    false,
		"gating v2, reverted v2":          true,
		"reverted v2, converged v1":       true,
		"reverted v2, gating v2":          true,
		"reverted v2, converged v2":       false,
		"converged v2, failing v2":        true,
		"reverted v1, converged v2":       false,
		"converged v2, reverted v3":       false,
		"reverted v2, converged v2, x v3": false,
	} {
		s := intent.State{Want: "v3", Have: "v3", Phase: Converged}
		for part := range strings.SplitSeq(words, ", ") {
			phase, version, _ := strings.Cut(part, " ")
			s.Transitions = append(s.Transitions, intent.Transition{Phase: phase, Want: version})
		}
		if got := (Row{Links: []Link{{Agent: Setlive, State: s}}}).Refused("v2"); got != want {
			t.Errorf("%q: %v", words, got)
		}
	}
}
