package service

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWhatKeepsEndingIsKnownByItsStarts(t *testing.T) {
	const s = uint64(time.Second / tick)
	for name, c := range map[string]struct {
		starts []uint64 // in seconds, newest first
		now    uint64
		want   bool
	}{
		"never ended":                    {[]uint64{100}, 101, false},
		"ended three times":              {[]uint64{103, 102, 101, 100}, 104, false},
		"ended four times at once":       {[]uint64{104, 103, 102, 101, 100}, 104, true},
		"the same, a minute later":       {[]uint64{104, 103, 102, 101, 100}, 164, true},
		"the same, and has stayed up":    {[]uint64{104, 103, 102, 101, 100}, 104 + 120, false},
		"every two minutes":              {[]uint64{580, 460, 340, 220, 100}, 690, true},
		"it lasts as long as before":     {[]uint64{580, 460, 340, 220, 100}, 580 + 239, true},
		"it lasts twice as long":         {[]uint64{580, 460, 340, 220, 100}, 580 + 240, false},
		"every three minutes":            {[]uint64{820, 640, 460, 280, 100}, 821, false},
		"starts that nobody would write": {[]uint64{104, 105, 102, 101, 100}, 106, false},
		"the clock of another boot":      {[]uint64{104, 103, 102, 101, 100}, 7, false},
	} {
		for i := range c.starts {
			c.starts[i] *= s
		}
		if got := looping(c.starts, c.now*s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestWhatKeepsEndingDoesSoSteadily: as long as the ends come at about the same distance, no look says otherwise.
func TestWhatKeepsEndingDoesSoSteadily(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		period := rapid.Uint64Range(1, 14000).Draw(t, "period")
		at, starts := uint64(1000), []uint64{}
		for range rapid.IntRange(LoopEnds+1, 30).Draw(t, "starts") {
			at += period + rapid.Uint64Range(0, period/20).Draw(t, "jitter")
			starts = append(starts, at)
		}
		slices.Reverse(starts)
		later := rapid.Uint64Range(0, period+period/20+200).Draw(t, "a look")
		if !looping(starts[:LoopEnds+1], starts[0]+later) {
			t.Fatalf("not looping %d ticks after %v", later, starts[:LoopEnds+1])
		}
	})
}
