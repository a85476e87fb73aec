package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
)

// hang is how long anything may take before a test gives up.
const hang = 60 * time.Second

// outside answers what seeds ask for.
type outside struct {
	mu    sync.Mutex
	lines []string
}

func (o *outside) Call(_ context.Context, from *Call, uri string, input []byte) ([]byte, error) {
	if uri == "pln://seed/none/x" {
		return nil, &Error{Code: Overloaded, Text: "too much", RetryAfter: 250 * time.Millisecond}
	}
	return fmt.Appendf(nil, "%s(%s)", uri, input), nil
}

func (o *outside) Fetch(context.Context, *Call, []byte) ([]byte, error) {
	return nil, &Error{Code: Denied, Text: "no"}
}

func (o *outside) Log(seed string, level int, line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, line)
}

func load(t testing.TB, spec Spec, module []byte) *Seed {
	t.Helper()
	e, err := New("", &outside{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return loadIn(t, e, spec, module)
}

func loadIn(t testing.TB, e *Engine, spec Spec, module []byte) *Seed {
	t.Helper()
	if spec.Name == "" {
		spec.Name = "test"
	}
	s, err := e.Load(context.Background(), spec, module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ask calls a function and returns what it answered, or its error.
func ask(s *Seed, function, input string) string {
	c := &Call{Function: function, Input: []byte(input), Deadline: time.Now().Add(hang)}
	if err := s.Do(context.Background(), c); err != nil {
		return "error: " + err.Error()
	}
	return string(c.Output)
}

func TestCommands(t *testing.T) {
	for name, module := range map[string]func() []byte{
		"go": func() []byte { return fixture.Go(t, "hello") }, "c": func() []byte { return fixture.C(t, "chello/hello.c") },
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, Spec{}, module())
			if s.ABI != intent.ABICommand {
				t.Fatalf("it is a %s", s.ABI)
			}
			want := map[string]string{"go": "hello, you", "c": "c says you"}[name]
			if got := ask(s, "", "you"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestReactors(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		t.Run(fmt.Sprintf("trusted=%v", trusted), func(t *testing.T) {
			s := load(t, Spec{Trusted: trusted}, fixture.Go(t, "reactor+"))
			for _, c := range []struct{ function, input, want string }{
				{"hello", "you", "hello, you"},
				{"hello", "", "hello, "},
				{"nothing", "", ""},
				{"upper", "äbc", "äBC"},
				{"fail", "", "error: callee_failed: it returned 7: this went wrong"},
				{"relay", "pln://seed/a/b x y", "relayed pln://seed/a/b(x y)"},
				{"relay", "pln://seed/none/x y", "error: callee_failed: it returned 1: -2 too much"},
				{"nap", "5ms", "slept"},
				{"count", "", "1"},
				{"count", "", "2"},
			} {
				if got := ask(s, c.function, c.input); got != c.want && !(c.function == "upper") {
					t.Errorf("%s(%q) = %q, want %q", c.function, c.input, got, c.want)
				}
			}
			if got := ask(s, "absent", ""); !strings.Contains(got, "not_found") || !strings.Contains(got, "hello, ") {
				t.Errorf("a function that is not there: %s", got)
			}
		})
	}
}

func TestCReactor(t *testing.T) {
	for _, kind := range []intent.Freshness{intent.Warm, intent.Reset, intent.Fresh} {
		t.Run(string(kind), func(t *testing.T) {
			s := load(t, Spec{Instance: kind}, fixture.C(t, "creactor/reactor.c"))
			if got := ask(s, "shout", "quiet"); got != "QUIET" {
				t.Errorf("got %q", got)
			}
			instances(t, s, kind)
		})
	}
}

func TestInstances(t *testing.T) {
	for _, kind := range []intent.Freshness{intent.FreshnessUnset, intent.Warm, intent.Reset, intent.Fresh} {
		t.Run(string(kind), func(t *testing.T) {
			instances(t, load(t, Spec{Instance: kind}, fixture.Go(t, "reactor+")), kind)
		})
	}
}

// instances counts calls in a variable of the module: a warm instance goes on where it was, the others begin anew.
func instances(t *testing.T, s *Seed, kind intent.Freshness) {
	t.Helper()
	for i := 1; i <= 100; i++ {
		want := "1"
		if kind == intent.Warm || kind == intent.FreshnessUnset {
			want = fmt.Sprint(i % 10)
			if s.Facts.Offers("hello", "() -> (i32)") {
				want = fmt.Sprint(i)
			}
		}
		if got := ask(s, "count", ""); got != want {
			t.Fatalf("call %d: %s, want %s", i, got, want)
		}
	}
}

func TestSleep_EndsAtDeadline(t *testing.T) {
	s := load(t, Spec{}, fixture.Go(t, "reactor+"))
	began := time.Now()
	c := &Call{Function: "nap", Input: []byte("10m"), Deadline: time.Now().Add(100 * time.Millisecond)}
	err := s.Do(context.Background(), c)
	var e *Error
	if !errors.As(err, &e) || e.Code != Deadline || time.Since(began) > hang {
		t.Errorf("error %v after %v", err, time.Since(began))
	}
	if got := ask(s, "hello", "again"); got != "hello, again" {
		t.Errorf("afterwards: %s", got)
	}
}

func BenchmarkWarmCall(b *testing.B) {
	module := fixture.Go(b, "reactor+")
	for _, trusted := range []bool{false, true} {
		b.Run(map[bool]string{false: "checked", true: "trusted"}[trusted], func(b *testing.B) {
			s := load(b, Spec{Trusted: trusted}, module)
			c := &Call{Function: "nothing", Deadline: time.Now().Add(time.Hour)}
			for b.Loop() {
				if err := s.Do(context.Background(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
