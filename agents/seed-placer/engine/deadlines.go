package engine

import (
	"sync"
	"sync/atomic"
	"time"
)

// tick is the precision of deadlines. One goroutine checks all calls every tick, which costs a call two stores
// instead of a timer. It stops after idleTicks without calls.
const (
	tick      = 2 * time.Millisecond
	idleTicks = 50
)

// OverdueGrace is how long a call of a trusted seed may exceed its deadline before Overdue is called.
const OverdueGrace = time.Second

// epoch is the zero of deadlines, which use the monotonic clock.
var epoch = time.Now()

// noDeadline is later than any time.
const noDeadline = int64(1) << 62

// deadlines watches the instances that may have a call in progress.
var deadlines = &deadlineWatcher{switches: map[*killSwitch]struct{}{}}

type deadlineWatcher struct {
	asleep   atomic.Bool
	mu       sync.Mutex
	switches map[*killSwitch]struct{}
	started  bool
}

// arm starts the deadline of a call.
func (k *killSwitch) arm(deadline time.Time) {
	if k.deadline.Swap(int64(deadline.Sub(epoch))) == 0 {
		deadlines.add(k)
	}
	if deadlines.asleep.Load() && deadlines.asleep.Swap(false) {
		go deadlines.run()
	}
}

// disarm ends the deadline. The switch stays registered for the next call.
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

// retire unregisters the switch of an instance that has ended.
func (k *killSwitch) retire() {
	deadlines.mu.Lock()
	defer deadlines.mu.Unlock()
	delete(deadlines.switches, k)
}

// run checks the switches until none was armed for a while. A switch armed between the last check and falling asleep
// is found by one more check, because arm reads asleep after storing its deadline.
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

// check triggers the expired switches, and reports whether any switch is armed.
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
