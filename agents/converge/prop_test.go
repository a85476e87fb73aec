package converge_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// event is an external change during a run of the loop.
type event struct {
	pause time.Duration
	kind  string
	name  string
	want  []string
}

func events() *rapid.Generator[event] {
	name := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	return rapid.Custom(func(t *rapid.T) event {
		return event{
			pause: time.Duration(rapid.IntRange(0, 20_000).Draw(t, "pause")) * time.Millisecond,
			kind:  rapid.SampledFrom([]string{"intent", "intent", "vandal", "break", "mend", "blind", "see", "slow"}).Draw(t, "kind"),
			name:  name.Draw(t, "name"),
			want:  rapid.SliceOfDistinct(name, rapid.ID).Draw(t, "want"),
		}
	})
}

// Intent changes, steps fail or are slow, and others change the host; once all of that ends, the host must be as
// desired last, and the rules of the workers must have held throughout.
func TestRun_RandomEvents_Converges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		happens := rapid.SliceOfN(events(), 1, 15).Draw(rt, "events")
		parallel := rapid.IntRange(0, 3).Draw(rt, "parallel")
		var h *host
		var want []string
		synctest.Test(t, func(t *testing.T) {
			h = newHost()
			l := h.loop()
			l.Parallel = parallel
			desired := running(t, l, []string{}...)
			for _, e := range happens {
				h.happen(e)
				if e.kind == "intent" {
					want = e.want
					desired <- want
				}
				after(e.pause)
			}
			h.set(func() { clear(h.broken); h.blind = nil })
			desired <- want
			after(10 * time.Minute)
		})
		if has := slices.Sorted(maps.Keys(h.has)); !slices.Equal(has, slices.Sorted(slices.Values(want))) {
			rt.Fatalf("host has %v, want %v", has, want)
		}
		if h.twice || parallel > 0 && h.most > parallel {
			rt.Fatalf("two workers on one subject: %v; %d workers of %d", h.twice, h.most, parallel)
		}
	})
}

func (h *host) happen(e event) {
	h.Lock()
	defer h.Unlock()
	switch e.kind {
	case "vandal":
		if h.has[e.name] {
			delete(h.has, e.name)
		} else {
			h.has[e.name] = true
		}
	case "break":
		h.broken[e.name] = errors.New("broken")
	case "mend":
		delete(h.broken, e.name)
	case "blind":
		h.blind = errors.New("blind")
	case "see":
		h.blind = nil
	case "slow":
		h.slow[e.name] = e.pause
	}
}
