package world

import (
	"slices"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
)

// Other versions cause warnings, never an outcome.
func TestRow_Progress_OnlyTheVersionAskedAboutCounts(t *testing.T) {
	converged := intent.State{Phase: Converged}
	live := func(want, have, phase, reason string) Stage {
		return Stage{Name: "live", Agent: Setlive, Want: want, State: intent.State{Want: want, Have: have, Phase: phase, Reason: reason}}
	}
	installed := func(want, have, phase, reason string) Stage {
		return Stage{Name: "installed", Agent: Preparer, Want: want, State: intent.State{Want: want, Have: have, Phase: phase, Reason: reason, Attempts: 5}}
	}
	for _, test := range []struct {
		name         string
		links        []Stage
		phase, words string
		tries        int
		final        bool
		spares       []string
	}{
		{"live", []Stage{installed("v1, v2", "v1, v2", Converged, ""), live("v2", "v2", Converged, "")}, Live, "", 0, false, nil},
		{"a spare fails", []Stage{installed("v1, v2", "v2", Failed, "v1: not_found: gone; for good"), live("v2", "v2", Converged, "")}, Live, "", 0, false, []string{"v1: not_found: gone; for good"}},
		{"it fails", []Stage{installed("v1, v2", "v1", Failed, "v2: not_found: gone"), live("v2", "v1", "waiting", "")}, Failed, "v2: not_found: gone", 5, false, nil},
		{"both fail", []Stage{installed("v1, v2", "", Failed, "v1: not_found: gone; v2: bad"), live("v2", "", "waiting", "")}, Failed, "v2: bad", 0, false, []string{"v1: not_found: gone"}},
		{"a spare fails and it is on its way", []Stage{installed("v1, v2", "", Failed, "v1: gone"), live("v2", "", "waiting", "")}, Pending, "v2 is not installed yet", 0, false, []string{"v1: gone"}},
		{"the whole place is at fault", []Stage{installed("v2", "", Failed, "basedir is a file"), live("v2", "", "waiting", "")}, Failed, "basedir is a file", 5, false, nil},
		{"another one runs", []Stage{installed("v1, v2", "v1, v2", Converged, ""), live("v1", "v1", Converged, "")}, Pending, "setlive runs v1", 0, false, nil},
		{"it was refused", []Stage{installed("v1, v2", "v1, v2", Converged, ""), live("v2", "v1", Reverted, "reverted from v2 to v1")}, Reverted, "reverted from v2 to v1", 0, true, nil},
		{"another one was refused", []Stage{installed("v1, v2", "v1, v2", Converged, ""), live("v1", "v0", Reverted, "reverted from v1 to v0")}, Reverted, "reverted from v1 to v0", 0, false, nil},
		{"a port is taken", []Stage{{Name: "opened", Agent: PortAuthority, Want: "80/tcp", State: intent.State{Phase: Conflict}}, installed("v2", "v2", Converged, ""), live("v2", "v2", Converged, "")}, Conflict, "", 0, false, nil},
		{"its intent is invalid", []Stage{{Name: "declared", State: intent.State{Phase: intent.PhaseInvalid}}, installed("v2", "v2", Converged, ""), live("v2", "v2", Converged, "")}, intent.PhaseInvalid, "", 0, true, nil},
		{"its preparer is dead and it runs", []Stage{installed("v2", "v2", Stale, "preparer is not alive"), live("v2", "v2", Converged, "")}, Live, "", 0, false, nil},
	} {
		row := Row{Stages: append([]Stage{{Name: "declared", State: converged}}, test.links...)}.summarize()
		p := row.Progress("v2")
		if p.Phase != test.phase || p.Reason != test.words || p.Failures != test.tries || p.Final != test.final || !slices.Equal(p.OtherFailures, test.spares) {
			t.Errorf("%s: %+v", test.name, p)
		}
	}
}

// The last entry about a version counts.
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
		if got := (Row{Stages: []Stage{{Agent: Setlive, State: s}}}).Refused("v2"); got != want {
			t.Errorf("%q: %v", words, got)
		}
	}
}
