package health

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// set returns the time that [time.Now] would have told had somebody set the clock by so many seconds: another hour of the
// day at the same moment. Nobody may set the clock of the machine for a test, so the bits of a time are changed.
func set(t *testing.T, at time.Time, seconds int64) time.Time {
	t.Helper()
	moved := at
	wall := (*uint64)(unsafe.Pointer(&moved)) // the first word: a mark, 33 bits of seconds, 30 bits of nanoseconds
	*wall = uint64(int64(*wall) + seconds<<30)
	if moved.Sub(at) != 0 || moved.Unix() != at.Unix()+seconds {
		t.Skip("skipped: this Go keeps its times otherwise")
	}
	return moved
}

// TestAClockThatIsSetChangesNoVerdict: an hour forward does not make a process healthy or late before its time, ten years
// backward do not keep it from becoming so.
func TestAClockThatIsSetChangesNoVerdict(t *testing.T) {
	const hour, years = 3600, 10 * 365 * 24 * 3600
	check := intent.Health{Successes: 3, MinHealthy: intent.Duration(5 * time.Second), Deadline: intent.Duration(20 * time.Second)}
	start := time.Now()
	// verdicts are those of a process that is asked every second and answers from a second on.
	verdicts := func(from, jump, at int64) (all []Verdict) {
		w := NewWatch()
		f := &follower{target: Target{Check: check, Process: service.Process{PID: 1, Started: 1}}, since: start}
		for second := int64(1); second <= 40; second++ {
			now, err := start.Add(time.Duration(second)*time.Second), error(nil)
			if second >= at {
				now = set(t, now, jump)
			}
			if second < from {
				err = errors.New("not yet")
			}
			w.heard(f, err, now)
			all = append(all, f.verdict)
		}
		return all
	}
	for _, from := range []int64{1, 10, 30, 50} { // well, slow, too late, never
		want := verdicts(from, 0, 50)
		if healthy := want[39].Healthy; healthy != (from < 50) || want[24].Expired != (from >= 30) {
			t.Fatalf("from second %d on: %+v", from, want)
		}
		for _, jump := range []int64{hour, -hour, -years} {
			for _, at := range []int64{1, 2, 4, 12, 25} {
				for i, got := range verdicts(from, jump, at) {
					if got != want[i] {
						t.Fatalf("answers from second %d on, clock set by %d s in second %d: in second %d it is %+v, want %+v", from, jump, at, i+1, got, want[i])
					}
				}
			}
		}
	}
}

// TestFollowTellsTheTimeThatNobodySets: what a deadline counts from carries the reading of the other clock.
func TestFollowTellsTheTimeThatNobodySets(t *testing.T) {
	p, _ := sleeper(t)
	w := NewWatch()
	defer w.Close()
	w.Follow(map[string]Target{"slug": {App: "slug", Process: p, Check: quick(intent.Health{Type: intent.HealthUp})}})
	w.mu.Lock()
	since := w.apps["slug"].since
	w.mu.Unlock()
	if !strings.Contains(since.String(), " m=") {
		t.Errorf("%s would be moved by a clock that is set", since)
	}
}
