package engine

import (
	"context"
	"testing"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
)

// yielding counts how often a seed gives its processor up.
type yielding struct {
	outside
	times int // by one call at a time
}

func (y *yielding) Idle(wait func()) {
	y.times++
	wait()
}

// TestIdle: while a seed sleeps, others may have its processor; for the naps of its garbage collector it keeps it.
func TestIdle(t *testing.T) {
	y := &yielding{}
	e, err := New("", y)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	s := loadIn(t, e, Spec{}, fixture.Go(t, "reactor+"))
	for _, c := range []struct {
		sleep string
		gives bool
	}{{"50ms", true}, {"100us", false}} {
		y.times = 0
		if said := ask(s, "nap", c.sleep); said != "slept" || (y.times > 0) != c.gives {
			t.Errorf("%s: %s, it gave its processor up %d times", c.sleep, said, y.times)
		}
	}
}
