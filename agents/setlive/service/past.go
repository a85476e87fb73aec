package service

import (
	"fmt"
	"os"
	"time"
)

// Past is what the supervisor had to do for a service since it was last stopped.
type Past struct {
	Restarts int    // how often it had to start it again
	Looping  bool   // it keeps ending: it ended LoopEnds times within LoopWindow, and has not stayed up since
	Steady   bool   // the process that was started last has been up for SteadyAfter, if it still is
	End      End    // how a process of it ended last; zero when that is not known
	Stray    Stray  // a process of it that is not in the supervisor's hands; zero when there is none
	Orphans  int    // processes of it that earlier starts left behind, beside Stray
	Evidence string // why it ended, in words: for whoever observes to fill in
}

// When a service counts as one that keeps ending, and when no longer: once it has stayed up for LoopCalm, and for twice
// as long as it last did between two ends. That is so whoever looks, and when: all of it follows from start times that
// the host keeps.
const (
	LoopEnds   = 4
	LoopWindow = 10 * time.Minute
	LoopCalm   = 2 * time.Minute

	SteadyAfter = 10 * time.Second
)

const tick = 10 * time.Millisecond // in which the kernel tells start times

// looping says whether a service with these starts, newest first, keeps ending. All times are ticks since boot.
func looping(starts []uint64, now uint64) bool {
	if len(starts) <= LoopEnds || now < starts[0] {
		return false
	}
	var longest time.Duration
	for i := range LoopEnds {
		if starts[i] < starts[i+1] {
			return false // not what the script writes
		}
		longest = max(longest, time.Duration(starts[i]-starts[i+1])*tick)
	}
	span, up := time.Duration(starts[0]-starts[LoopEnds])*tick, time.Duration(now-starts[0])*tick
	return span <= LoopWindow && up < max(LoopCalm, 2*longest)
}

// uptime returns the ticks since boot, 0 when the kernel does not tell. Its error is [ErrUnseen].
func uptime() (uint64, error) {
	var seconds float64
	data, err := os.ReadFile("/proc/uptime")
	if there, err := There(err); !there {
		return 0, err
	}
	if n, _ := fmt.Sscan(string(data), &seconds); n != 1 {
		return 0, nil
	}
	return uint64(seconds * float64(time.Second/tick)), nil
}
