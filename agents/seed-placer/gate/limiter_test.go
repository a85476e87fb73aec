package gate

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hour is the limit of calls that must not time out.
var hour = MaxWait{time.Hour, time.Hour}

// enter calls Acquire in the background.
func enter(l *Limiter, p MaxWait) <-chan error {
	entered := make(chan error, 1)
	go func() { entered <- l.Acquire(p) }()
	synctest.Wait()
	return entered
}

func TestAcquire_LimitAndQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(2, 1)
		if !l.TryAcquire() || l.Acquire(hour) != nil || l.TryAcquire() {
			t.Fatal("two may be in, and no more")
		}
		waits := enter(l, hour)
		if inside, waiting, _ := l.Counts(); inside != 2 || waiting != 1 {
			t.Fatalf("%d inside, %d wait", inside, waiting)
		}
		if err := l.Acquire(hour); !errors.Is(err, ErrFull) {
			t.Fatalf("a second one waits: %v", err)
		}
		l.Release()
		if err := <-waits; err != nil {
			t.Fatal(err)
		}
		if err := l.Acquire(MaxWait{time.Second, time.Second}); !errors.Is(err, ErrLate) {
			t.Fatalf("it did not give up: %v", err)
		}
		l.Release()
		l.Release()
		if inside, waiting, refused := l.Counts(); inside != 0 || waiting != 0 || refused != 2 {
			t.Fatalf("%d inside, %d wait, %d refused", inside, waiting, refused)
		}
	})
}

// TestAcquireNow_ExceedsLimit: a call that comes back is admitted above the limit, and waiting calls only below it.
func TestAcquireNow_ExceedsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 10)
		l.TryAcquire()
		l.AcquireNow()
		entered := enter(l, hour)
		l.Release()
		if inside, waiting, _ := l.Counts(); inside != 1 || waiting != 1 {
			t.Fatalf("%d inside, %d wait", inside, waiting)
		}
		l.Release()
		if err := <-entered; err != nil {
			t.Fatal(err)
		}
	})
}

// TestAcquire_Burst_AllAdmitted: a hundred calls at once are all admitted, the first one first, as long as none waits
// too long.
func TestAcquire_Burst_AllAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 200)
		l.TryAcquire()
		var mu sync.Mutex
		var order []int
		for i := range 100 {
			go func() {
				if err := l.Acquire(MaxWait{time.Hour, time.Millisecond}); err != nil {
					t.Errorf("call %d of a burst is refused: %v", i, err)
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		for range 100 {
			time.Sleep((SlowAfter + OverloadAfter) / 101)
			l.Release()
			synctest.Wait()
		}
		if l.Release(); !slices.IsSorted(order) || len(order) != 100 {
			t.Errorf("in order %v", order)
		}
	})
}

// TestAcquire_QueueDrainsSometimes_NoneRejected: more calls than the limit arrive without end, but the queue empties
// now and then: none is rejected.
func TestAcquire_QueueDrainsSometimes_NoneRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 100)
		for round := range 50 {
			l.TryAcquire()
			var all sync.WaitGroup
			for range 9 {
				all.Go(func() {
					if err := l.Acquire(MaxWait{time.Hour, time.Millisecond}); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				})
			}
			synctest.Wait()
			for range 10 {
				time.Sleep(9 * time.Millisecond)
				l.Release()
			}
			all.Wait()
		}
	})
}

// TestAcquire_FewAboveLimit_Wait: a few more callers than the limit, who call again without end, wait for their turn.
func TestAcquire_FewAboveLimit_Wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 100)
		var all sync.WaitGroup
		for range 9 {
			all.Go(func() {
				for range 100 {
					if err := l.Acquire(MaxWait{time.Hour, time.Millisecond}); err != nil {
						t.Error(err)
					}
					time.Sleep(10 * time.Millisecond)
					l.Release()
				}
			})
		}
		all.Wait()
	})
}

// TestAcquire_Overload_ShortWaitsAndLIFO: while the queue is slow, only short waits are allowed and the newest call
// goes first. Once the queue was empty, long waits are allowed again.
func TestAcquire_Overload_ShortWaitsAndLIFO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1, 100)
		l.TryAcquire()
		old := enter(l, MaxWait{time.Hour, 20 * time.Millisecond})
		time.Sleep(SlowAfter + OverloadAfter - 2*tick)
		select {
		case err := <-old:
			t.Fatalf("it is over before there is too much to do: %v", err)
		default:
		}
		patient := enter(l, hour)
		time.Sleep(4 * tick)
		if err := <-old; !errors.Is(err, ErrLate) {
			t.Fatalf("it waits where there is too much to do: %v", err)
		}
		began := time.Now()
		if err := l.Acquire(MaxWait{time.Hour, 20 * time.Millisecond}); !errors.Is(err, ErrLate) || time.Since(began) > 20*time.Millisecond+2*tick {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		last := enter(l, MaxWait{time.Hour, 20 * time.Millisecond})
		l.Release()
		if err := <-last; err != nil {
			t.Fatalf("who came last does not go first: %v", err)
		}
		l.Release()
		if err := <-patient; err != nil {
			t.Fatal(err)
		}
		began = time.Now() // the queue is empty only because its calls were rejected
		if err := l.Acquire(MaxWait{time.Hour, 20 * time.Millisecond}); !errors.Is(err, ErrLate) || time.Since(began) > 20*time.Millisecond+2*tick {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if l.Release(); !l.TryAcquire() {
			t.Fatal("nobody is inside")
		}
		again := enter(l, MaxWait{time.Hour, 20 * time.Millisecond})
		time.Sleep(SlowAfter + OverloadAfter - 2*tick)
		l.Release()
		if err := <-again; err != nil {
			t.Fatalf("the queue was empty, and there is too much to do: %v", err)
		}
	})
}

// TestAcquire_ProcessStalled_NotOverload: time in which the process was stalled hardly counts, however long it was,
// but no call waits longer than its limit.
func TestAcquire_ProcessStalled_NotOverload(t *testing.T) {
	for _, still := range []time.Duration{time.Second, 2 * time.Hour} {
		t.Run(fmt.Sprint(still), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New(1, 100)
				l.TryAcquire()
				waits := enter(l, MaxWait{time.Hour, time.Millisecond})
				l.mu.Lock() // as if the last tick and the arrival were that long ago
				l.lastTick = l.lastTick.Add(-still)
				one := l.waiting.Front().Value.(*waiter)
				one.arrived = one.arrived.Add(-still)
				l.mu.Unlock()
				time.Sleep(2 * tick)
				l.Release()
				if err := <-waits; (err == nil) != (still < time.Hour) {
					t.Errorf("after a standstill of %v: %v", still, err)
				}
			})
		})
	}
}

// TestAcquire_Concurrent_NeverAboveLimit counts the admitted calls while many arrive, wait and give up.
func TestAcquire_Concurrent_NeverAboveLimit(t *testing.T) {
	l := New(3, 20)
	var inside, most, in atomic.Int64
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 200 {
				wait := time.Duration(i) * 50 * time.Microsecond
				if l.Acquire(MaxWait{10 * wait, wait}) != nil {
					continue
				}
				in.Add(1)
				now := inside.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				time.Sleep(10 * time.Microsecond)
				inside.Add(-1)
				l.Release()
			}
		})
	}
	all.Wait()
	if now, waiting, _ := l.Counts(); most.Load() > 3 || now != 0 || waiting != 0 || in.Load() == 0 {
		t.Errorf("%d at once, %d inside and %d waiting at the end, %d got in", most.Load(), now, waiting, in.Load())
	}
}

// TestAcquire_SlowCalls_NoneRejected: a few slow calls that arrive once are all admitted.
func TestAcquire_SlowCalls_NoneRejected(t *testing.T) {
	for _, service := range []time.Duration{50 * time.Millisecond, 250 * time.Millisecond, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			l := New(2, 100)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if err := l.Acquire(MaxWait{time.Hour, time.Millisecond}); err != nil {
						t.Errorf("%v each: %v", service, err)
						return
					}
					time.Sleep(service)
					l.Release()
				})
			}
			all.Wait()
		})
	}
}
