package engine

import (
	"sync"
	"sync/atomic"
	"time"
)

// tick is how exact deadlines are. One goroutine looks at all calls that often, which costs a call two stores instead of
// a timer. It sleeps when no call was under way for patience ticks.
const (
	tick      = 2 * time.Millisecond
	idleTicks = 50
)

// OverdueGrace is how long a call of a trusted seed may go on after its deadline before it is said to be overdue.
const OverdueGrace = time.Second

// epoch is what deadlines are counted from: the monotonic clock needs one.
var epoch = time.Now()

// noDeadline is a deadline that does not come.
const noDeadline = int64(1) << 62

// deadlines are the instances that may have a call in them.
var deadlines = &deadlineWatcher{switches: map[*killSwitch]struct{}{}}

type deadlineWatcher struct {
	asleep   atomic.Bool
	mu       sync.Mutex
	switches map[*killSwitch]struct{}
	started  bool
}

// arm lets the switch fall at a deadline.
func (k *killSwitch) arm(deadline time.Time) {
	if k.deadline.Swap(int64(deadline.Sub(epoch))) == 0 {
		deadlines.add(k)
	}
	if deadlines.asleep.Load() && deadlines.asleep.Swap(false) {
		go deadlines.run()
	}
}

// disarm takes the deadline back. The switch stays known for the next call.
func (k *killSwitch) disarm() { k.deadline.Store(noDeadline) }

func (w *deadlineWatcher) add(k *killSwitch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.switches[k] = struct{}{}
	if !w.started {
		w.started = true
		go w.run()
	}
}

// retire forgets a switch whose instance has ended.
func (k *killSwitch) retire() {
	deadlines.mu.Lock()
	defer deadlines.mu.Unlock()
	delete(deadlines.switches, k)
}

// run looks at the switches until none has been armed for a while. What is armed between the last look and the nap is
// seen by one more look, for arm asks after it has stored its deadline.
func (w *deadlineWatcher) run() {
	for quiet := 0; ; quiet++ {
		if w.check(int64(time.Since(epoch))) {
			quiet = 0
		}
		if quiet < idleTicks {
			time.Sleep(tick)
			continue
		}
		w.asleep.Store(true)
		if !w.check(int64(time.Since(epoch))) || !w.asleep.Swap(false) {
			return
		}
		quiet = 0
	}
}

// check lets fall what is due, and reports whether any switch is armed.
func (w *deadlineWatcher) check(now int64) (armed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.switches {
		deadline := k.deadline.Load()
		armed = armed || deadline != noDeadline
		if deadline < now && !k.killed.Swap(true) {
			close(k.done)
		}
		if k.overdue != nil && deadline > 0 && deadline < now-int64(OverdueGrace) {
			k.overdue()
		}
	}
	return armed
}
