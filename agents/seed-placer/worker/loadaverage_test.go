package worker

import (
	"testing"
	"time"
)

func TestStableCounter(t *testing.T) {
	var q stableCounter
	now := time.Now()
	for _, c := range []struct {
		number uint64
		after  time.Duration
		want   time.Duration
	}{{0, 0, 0}, {0, time.Second, time.Second}, {1, 2 * time.Second, 0}, {1, 5 * time.Second, 3 * time.Second}} {
		if got := q.stableFor(c.number, now.Add(c.after)); got != c.want {
			t.Errorf("%d after %v: %v, want %v", c.number, c.after, got, c.want)
		}
	}
}

// TestLoadAverage rises at once and falls only after a calm minute.
func TestLoadAverage(t *testing.T) {
	var p loadAverage
	now := time.Now()
	for range 20 {
		now = now.Add(time.Second)
		p.sample(16, 16, now)
	}
	if got := p.sample(16, 16, now.Add(time.Second)); got < 150 || got > 200 {
		t.Errorf("as much as may be: %d %%", got)
	}
	high := p.reported
	for range 50 {
		now = now.Add(time.Second)
		if got := p.sample(0, 16, now); got != high {
			t.Fatalf("it fell to %d at once", got)
		}
	}
	for range 60 {
		now = now.Add(time.Second)
		p.sample(0, 16, now)
	}
	if got := p.sample(0, 16, now.Add(time.Second)); got != 0 {
		t.Errorf("after a calm minute: %d %%", got)
	}
}
