package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
)

// TestBudget: never more than all, and each seed gets its part whatever the others have.
func TestBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBudget()
		names, parts, total := []string{"a", "b", "c"}, map[string]int64{}, int64(0)
		for _, name := range names {
			parts[name] = rapid.Int64Range(0, 10).Draw(t, "part")
			total += parts[name]
		}
		total = max(1, total+rapid.Int64Range(0, 10).Draw(t, "spare"))
		b.Set(total, parts)
		has := map[string]int64{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			name, n := rapid.SampledFrom(names).Draw(t, "seed"), rapid.Int64Range(1, 8).Draw(t, "n")
			if rapid.Bool().Draw(t, "give") && has[name] >= n {
				b.release(name, n)
				has[name] -= n
				continue
			}
			got := b.reserve(name, n)
			if got {
				has[name] += n
			}
			if !got && has[name]+n <= parts[name] {
				t.Fatalf("%s has %d, its part is %d, and it does not get %d", name, has[name], parts[name], n)
			}
			if sum := has["a"] + has["b"] + has["c"]; sum > total || b.used != sum || b.Used(name) != has[name] {
				t.Fatalf("%d of %d are used, %+v is said", sum, total, b)
			}
		}
	})
}

// TestGreedySeed grows until it is refused, many at once, and a seed beside it is called all the while.
func TestGreedySeed(t *testing.T) {
	e, err := New("", &outside{})
	if err != nil {
		t.Fatal(err)
	}
	const total = 48 << 20
	e.Memory.Set(total, map[string]int64{"greedy": 16 << 20, "good": 16 << 20})
	load := func(name string, module []byte) *Seed {
		s, err := e.Load(context.Background(), Spec{Name: name, Bounds: intent.Bounds{Memory: 16 << 20}}, module)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	greedy, good := load("greedy", fixture.Hostile(t, "memory")), load("good", fixture.Go(t, "reactor+"))
	var all sync.WaitGroup
	refused := make(chan string, 100)
	for range 8 {
		all.Go(func() {
			for range 5 {
				err := greedy.Do(context.Background(), &Call{Function: "run", Deadline: time.Now().Add(time.Minute)})
				var e *Error
				if errors.As(err, &e) {
					refused <- e.Error()
				}
			}
		})
	}
	for range 50 {
		c := &Call{Function: "hello", Input: []byte("x"), Deadline: time.Now().Add(time.Minute)}
		if err := good.Do(context.Background(), c); err != nil {
			t.Errorf("the good one: %v", err)
		}
		if used := e.Memory.Used("greedy"); used > total-16<<20 {
			t.Errorf("the greedy one has %d bytes", used)
		}
	}
	all.Wait()
	close(refused)
	for text := range refused {
		if !strings.Contains(text, "it returned 3") && !strings.Contains(text, "no memory left for another instance of greedy") {
			t.Errorf("it ended with %s", text)
		}
	}
	greedy.Trim(0)
	if used := e.Memory.Used("greedy"); used != 0 {
		t.Errorf("%d bytes are never given back", used)
	}
}
