package engine

import (
	"sync"
	"sync/atomic"
	"time"
)

// tick is how exact deadlines are. One goroutine looks at all calls that often, which costs a call two stores instead of
// a timer. It sleeps when no call was under way for patience ticks.
const (
	tick     = 2 * time.Millisecond
	patience = 50
)

// Mercy is how long a call of a trusted seed may go on after its deadline before it is said to be overdue.
const Mercy = time.Second

// birth is what deadlines are counted from: the monotonic clock needs one.
var birth = time.Now()

// never is a deadline that does not come.
const never = int64(1) << 62

// watched are the instances that may have a call in them.
var watched = &watch{switches: map[*killSwitch]struct{}{}}

type watch struct {
	asleep   atomic.Bool
	mu       sync.Mutex
	switches map[*killSwitch]struct{}
	begun    bool
}

// arm lets the switch fall at a deadline.
func (k *killSwitch) arm(deadline time.Time) {
	if k.deadline.Swap(int64(deadline.Sub(birth))) == 0 {
		watched.add(k)
	}
	if watched.asleep.Load() && watched.asleep.Swap(false) {
		go watched.run()
	}
}

// disarm takes the deadline back. The switch stays known for the next call.
func (k *killSwitch) disarm() { k.deadline.Store(never) }

func (w *watch) add(k *killSwitch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.switches[k] = struct{}{}
	if !w.begun {
		w.begun = true
		go w.run()
	}
}

// retire forgets a switch whose instance has ended.
func (k *killSwitch) retire() {
	watched.mu.Lock()
	defer watched.mu.Unlock()
	delete(watched.switches, k)
}

// run looks at the switches until none has been armed for a while. What is armed between the last look and the nap is
// seen by one more look, for arm asks after it has stored its deadline.
func (w *watch) run() {
	for quiet := 0; ; quiet++ {
		if w.look(int64(time.Since(birth))) {
			quiet = 0
		}
		if quiet < patience {
			time.Sleep(tick)
			continue
		}
		w.asleep.Store(true)
		if !w.look(int64(time.Since(birth))) || !w.asleep.Swap(false) {
			return
		}
		quiet = 0
	}
}

// look lets fall what is due, and reports whether any switch is armed.
func (w *watch) look(now int64) (armed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.switches {
		deadline := k.deadline.Load()
		armed = armed || deadline != never
		if deadline < now && !k.killed.Swap(true) {
			close(k.done)
		}
		if k.overdue != nil && deadline > 0 && deadline < now-int64(Mercy) {
			k.overdue()
		}
	}
	return armed
}
