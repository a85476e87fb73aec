package gate

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	g := New(2, 1)
	if !g.TryEnter() || g.Enter(time.Hour) != nil || g.TryEnter() {
		t.Fatal("two may be in, and no more")
	}
	waits := make(chan error)
	go func() { waits <- g.Enter(time.Hour) }()
	for inside, waiting, _ := g.Counts(); waiting == 0; inside, waiting, _ = g.Counts() {
		if inside != 2 {
			t.Fatalf("%d inside", inside)
		}
	}
	if err := g.Enter(time.Hour); !errors.Is(err, ErrFull) {
		t.Fatalf("a second one waits: %v", err)
	}
	g.Leave()
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	if err := g.Enter(time.Millisecond); !errors.Is(err, ErrLate) {
		t.Fatalf("it did not give up: %v", err)
	}
	g.Leave()
	g.Leave()
	if inside, waiting, refused := g.Counts(); inside != 0 || waiting != 0 || refused != 2 {
		t.Fatalf("%d inside, %d wait, %d refused", inside, waiting, refused)
	}
}

// TestForce: who comes back is let in, and the places are given out again only when they are free.
func TestForce(t *testing.T) {
	g := New(1, 10)
	g.TryEnter()
	g.Force()
	entered := make(chan error, 1)
	go func() { entered <- g.Enter(time.Hour) }()
	for _, waiting, _ := g.Counts(); waiting == 0; _, waiting, _ = g.Counts() {
	}
	g.Leave()
	if inside, waiting, _ := g.Counts(); inside != 1 || waiting != 1 {
		t.Fatalf("%d inside, %d wait", inside, waiting)
	}
	g.Leave()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
}

// TestNeverTooMany counts who is inside while many come, wait and give up.
func TestNeverTooMany(t *testing.T) {
	g := New(3, 20)
	var inside, most, in atomic.Int64
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 200 {
				if g.Enter(time.Duration(i)*50*time.Microsecond) != nil {
					continue
				}
				in.Add(1)
				now := inside.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				time.Sleep(10 * time.Microsecond)
				inside.Add(-1)
				g.Leave()
			}
		})
	}
	all.Wait()
	if now, waiting, _ := g.Counts(); most.Load() > 3 || now != 0 || waiting != 0 || in.Load() == 0 {
		t.Errorf("%d at once, %d inside and %d waiting at the end, %d got in", most.Load(), now, waiting, in.Load())
	}
}
