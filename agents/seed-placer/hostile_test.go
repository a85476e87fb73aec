package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestHostileSeeds has every hostile module do its worst, several calls of each at once, while another seed of the same
// worker is called all the time and must always answer; the agent and its worker stay.
func TestHostileSeeds(t *testing.T) {
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1)
	c.publish(m, fixture.Go(t, "reactor+"), "good", nil)
	c.publish(m, fixture.Go(t, "reactor+"), "target", nil) // of those that flood another seed with calls
	c.ready("good", 1)
	c.ready("target", 1)
	cases := fixture.Cases(t)
	if len(cases) < 20 {
		t.Fatalf("only %d cases", len(cases))
	}
	cannotStart := map[string]bool{"spin_at_start": true, "trap_at_start": true}
	for _, name := range cases {
		c.publish(m, fixture.Hostile(t, name), "bad-"+name, map[string]any{"timeout": "300ms", "memory": "16MiB", "concurrency": 4, "calls": []string{"target", "self", "bad-" + name}})
	}
	for _, name := range cases {
		if !cannotStart[name] {
			c.ready("bad-"+name, 1)
		}
	}
	stop, good := make(chan struct{}), make(chan error, 1)
	go func() { good <- keepCalling(c, m, stop) }()
	var all sync.WaitGroup
	for _, name := range cases {
		for range 3 {
			all.Go(func() {
				began := time.Now()
				status, said := c.call(m, "bad-"+name+"/run", strings.Repeat("x", 100))
				if why := unexpected(name, status, said); why != "" && !belated(status, said) {
					t.Errorf("%s: %s: %d %.200s", name, why, status, said)
				}
				if time.Since(began) > hang {
					t.Errorf("%s: it took %v", name, time.Since(began))
				}
			})
		}
	}
	all.Wait()
	for _, name := range cases { // alone, each comes to its own end in time
		why, status, said := "", 0, ""
		for end := time.Now().Add(hang); ; time.Sleep(20 * time.Millisecond) {
			status, said = c.call(m, "bad-"+name+"/run", strings.Repeat("x", 100))
			if why = unexpected(name, status, said); why == "" || !belated(status, said) || time.Now().After(end) {
				break
			}
		}
		if why != "" {
			t.Errorf("%s alone: %s: %d %.200s", name, why, status, said)
		}
	}
	close(stop)
	if err := <-good; err != nil {
		t.Error(err)
	}
	if said := m.log.String(); strings.Contains(said, "is started again") || strings.Contains(said, "panic") || strings.Contains(said, " good: forged") {
		t.Error("the worker fell, or a line was forged")
	}
	select {
	case <-m.ended:
		t.Error("the agent fell")
	default:
	}
}

// keepCalling calls the good seed until stop is closed, and at least once.
func keepCalling(c *cluster, m *member, stop chan struct{}) error {
	for n := 0; ; n++ {
		text := fmt.Sprint("call ", n)
		if status, said := c.call(m, "good/hello", text); status != 200 || said != "hello, "+text {
			return fmt.Errorf("the good seed answers call %d with %d %s", n, status, said)
		}
		select {
		case <-stop:
			return nil
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// belated reports whether a call ended because its time was over, or there was too much to do for it: so may any call on a
// machine that is busy with those of the others.
func belated(status int, said string) bool {
	return status == 429 || status != 200 && strings.Contains(said, "deadline")
}

// unexpected says what is wrong with how a hostile call ended: each ends in an answer or a typed error.
func unexpected(name string, status int, said string) string {
	want := map[string]string{
		"spin": "deadline", "host_flood": "deadline", "log_flood": "deadline", "log_lines": "deadline", "stderr_flood": "deadline",
		"call_flood": "deadline", "call_big": "deadline", "endless_reply": "deadline", "sleep": "deadline", "huge_reply": "too_large",
		"memory": "it returned 3", "malloc": "callee_failed", "stack": "callee_failed", "self_call": "it returned 5", "self_tail": "not_found",
		"ungranted": "it returned -4", "bad_uri": "it returned 6", "bad_pointers": "", "unreachable": "callee_failed", "exit": "",
		"exit_code": "exit code 77", "divide": "callee_failed", "wild_write": "callee_failed", "files": "it returned 8", "environment": "it returned 9",
		"hoard_replies": "it returned 4", "echo_control": `"kind":"tail_call"`, "echo_http": "Location: http://evil.example/", "negative": "it returned -2147483648",
		"spin_at_start": "cannot run", "trap_at_start": "cannot run",
	}[name]
	switch {
	case status == 0:
		return "no answer at all"
	case status == 200 && name != "echo_control" && name != "echo_http" && name != "exit":
		return "success"
	case slices.Contains([]string{"memory", "malloc", "stack", "huge_reply", "hoard_replies"}, name) && strings.Contains(said, "deadline"):
		return "" // a busy machine was not even through with it in time
	case !strings.Contains(strings.ReplaceAll(said, `\`, ""), want):
		return "no word of " + want
	}
	return ""
}
