package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
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
		_, body := w.request("GET", "kv/"+w.root+"/status/setlive/"+w.node, "")
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

// trapped APP waits until the processes of an app ignore TERM, as stubborn ones do once they have come so far.
func (w *world) trapped(ts *testscript.TestScript, _ bool, args []string) {
	w.eventually(ts, func() error {
		_, pids := w.versions(args[0])
		for pid := range strings.FieldsSeq(pids) {
			status, _ := os.ReadFile("/proc/" + pid + "/status")
			_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
			mask, _, _ := strings.Cut(rest, "\n")
			if ignored, err := strconv.ParseUint(mask, 16, 64); err != nil || ignored>>(syscall.SIGTERM-1)&1 == 0 {
				return fmt.Errorf("process %s ignores %q", pid, mask)
			}
		}
		if pids == "" {
			return fmt.Errorf("%s does not run", args[0])
		}
		return nil
	})
}

// says TEXT waits until the agent has said so.
func (w *world) says(ts *testscript.TestScript, _ bool, args []string) {
	w.eventually(ts, func() error {
		if said := w.said.String(); !strings.Contains(said, args[0]) {
			return fmt.Errorf("it says %s", said)
		}
		return nil
	})
}

// old APP LAUNCH makes a service as the servicebuilder of 2014 did, which runs LAUNCH, and waits until it does. There is
// none to run when nothing is current.
func (w *world) oldService(ts *testscript.TestScript, _ bool, args []string) {
	stage := filepath.Join(ts.Getenv("STAGE"), args[0])
	for _, f := range []struct{ path, run string }{
		{"run", "#!/bin/sh\nsleep 0\nexec chpst -P -- '" + args[1] + "'\n"},
		{"log/run", "#!/bin/sh\nsleep 0\nexec chpst -P -- svlogd -tt ./main\n"},
	} {
		path := filepath.Join(stage, f.path)
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, []byte(f.run), 0o755))
	}
	ts.Check(os.MkdirAll(filepath.Join(stage, "log/main"), 0o755))
	_, err := os.Stat(args[1])
	if err != nil {
		ts.Check(os.WriteFile(filepath.Join(stage, "down"), nil, 0o644))
	}
	ts.Check(os.Symlink(stage, filepath.Join(ts.Getenv("SERVICES"), args[0])))
	w.eventually(ts, func() error {
		pid, errRead := os.ReadFile(filepath.Join(stage, "supervise/pid"))
		if errRead == nil && err == nil {
			line, _ := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/cmdline")
			if !strings.Contains(string(line), "sleep\x001000") && !strings.Contains(string(line), "bin/launch") {
				errRead = fmt.Errorf("process %s is %q", pid, line)
			}
		}
		return errRead
	})
}

// killed APP CALLS runs setlive --once, killed at the first, the second, … of these system calls, until it gets through.
func (w *world) killed(ts *testscript.TestScript, _ bool, args []string) {
	path, err := exec.LookPath("strace")
	ts.Check(err)
	for n := 1; ; n++ {
		inject := fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", args[1], n)
		cmd := exec.Command(path, append([]string{"-f", "-qq", "-o", filepath.Join(w.dir, "trace"), "-e", "trace=" + args[1], "-e", inject, "setlive", "--once"}, w.flags...)...)
		if out, err := cmd.CombinedOutput(); err == nil {
			w.Logf("%s: killed at %d calls", args[1], n-1)
			return
		} else if exit, is := err.(*exec.ExitError); !is || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			ts.Fatalf("call %d of %s: %v\n%s", n, args[1], err, out)
		}
	}
}
