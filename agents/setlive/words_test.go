package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
)

// stale MODE puts the store behind something that can answer with what it knew before; stale off takes that away.
func (w *world) stale(ts *testscript.TestScript, _ bool, args []string) {
	at := slices.Index(w.flags, "--http-addr") + 1
	if w.old == nil {
		w.old = testhost.NewStale(w.T, w.consul)
	}
	if args[0] == "off" {
		w.flags[at] = w.consul
		return
	}
	w.old.Be(args[0])
	w.flags[at] = w.old.Address
}

// steady APP PHASE TIME WRITES watches the report in the store for some time: the app is in that phase all along, and
// the report is written no more often than that.
func (w *world) steady(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := time.ParseDuration(args[2])
	ts.Check(err)
	most, err := strconv.Atoi(args[3])
	ts.Check(err)
	last, writes := uint64(0), -1
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_, body := w.request("GET", "kv/"+w.root+"/status/setlive/web1", "")
		var pairs []struct {
			ModifyIndex uint64
			Value       []byte
		}
		var r intent.Report
		if err := json.Unmarshal([]byte(body), &pairs); err != nil || len(pairs) != 1 || json.Unmarshal(pairs[0].Value, &r) != nil {
			ts.Fatalf("report: %v: %s", err, body)
		}
		if s := r.Subjects[args[0]]; s.Phase != args[1] {
			ts.Fatalf("%s is %+v, want %s all along", args[0], s, args[1])
		}
		if pairs[0].ModifyIndex != last {
			last = pairs[0].ModifyIndex
			writes++
		}
	}
	if writes > most {
		ts.Fatalf("%d writes of the report in %s", writes, limit)
	}
}

// heard FILE TEXT waits until a file holds just that.
func (w *world) heard(ts *testscript.TestScript, _ bool, args []string) {
	w.eventually(ts, func() error {
		if got, err := os.ReadFile(args[0]); string(got) != args[1] {
			return fmt.Errorf("%s holds %q, %v, want %q", args[0], got, err, args[1])
		}
		return nil
	})
}
