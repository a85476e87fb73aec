package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// peer APP NODE CLUSTER STATUS lists an instance of another node in the catalog.
func (w *world) peer(ts *testscript.TestScript, _ bool, args []string) {
	id := "platypus-" + args[0] + "-" + args[1]
	body := fmt.Sprintf(`{"ID":%q,"Name":%q,"Meta":{"node":%q,"cluster":%q},"Check":{"CheckID":%q,"TTL":"1h","Status":%q}}`,
		id, args[0], args[1], args[2], "service:"+id, args[3])
	if code, text := w.request("PUT", "agent/service/register?replace-existing-checks=true", body); code != 200 {
		ts.Fatalf("register: %d %s", code, text)
	}
	verb := map[string]string{"passing": "pass", "critical": "fail"}[args[3]]
	if code, text := w.request("PUT", "agent/check/"+verb+"/service:"+id, ""); code != 200 {
		ts.Fatalf("tell health: %d %s", code, text)
	}
	w.Cleanup(func() { w.request("PUT", "agent/service/deregister/"+id, "") })
}

// hold APP CLUSTER NODE takes a cluster's lease in the name of another node; release APP gives it back.
func (w *world) hold(ts *testscript.TestScript, _ bool, args []string) {
	code, text := w.request("PUT", "session/create", `{"TTL":"1h","LockDelay":"0s"}`)
	var session struct{ ID string }
	if err := json.Unmarshal([]byte(text), &session); err != nil || code != 200 {
		ts.Fatalf("session: %d %s", code, text)
	}
	key := "kv/" + w.root + "/locks/" + args[0] + "/" + args[1] + "/switch?acquire=" + session.ID
	// The node may keep its lease for a moment after its switch.
	w.eventually(ts, func() error {
		_, text := w.request("PUT", key, fmt.Sprintf(`{"node":%q,"why":"for a test"}`, args[2]))
		if !strings.Contains(text, "true") {
			return fmt.Errorf("the lease is taken")
		}
		return nil
	})
	ts.Setenv("LEASE_"+args[0], session.ID)
}

func (w *world) release(ts *testscript.TestScript, _ bool, args []string) {
	w.request("PUT", "session/destroy/"+ts.Getenv("LEASE_"+args[0]), "")
}

// sweep APP CALLS [VERSION] switches between v1 and v2 while setlive is killed at the first, the second, … of these
// system calls, until it gets through. With VERSION it always tries v2, and VERSION is what comes of it. Without
// PLATYPUS_FAULTS it takes only a few of the calls.
func (w *world) sweep(ts *testscript.TestScript, _ bool, args []string) {
	app, calls := args[0], args[1]
	stride, killed := 5, 0
	if len(args) > 2 {
		stride = 9
	}
	if os.Getenv("PLATYPUS_FAULTS") != "" {
		stride = 1
	}
	for n := 1; ; n += stride {
		from, to := "v1", "v2"
		if len(args) == 2 && (n-1)/stride%2 == 1 {
			from, to = to, from
		}
		// user_config makes each try new intent, and each process another one.
		w.put(ts, false, []string{"clusters/" + app + "/production/config",
			fmt.Sprintf(`{"versions":{%q:"active",%q:"prep"},"user_config":{"calls":%q,"n":%d}}`, to, from, calls, n)})
		inject := fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", calls, n)
		strace := append([]string{"-f", "-qq", "-o", filepath.Join(w.dir, "trace"), "-e", "trace=" + calls, "-e", inject, "setlive", "--once"}, w.flags...)
		path, err := exec.LookPath("strace")
		ts.Check(err)
		cmd := exec.Command(path, strace...)
		out, err := cmd.CombinedOutput()
		code := "0"
		if len(args) > 2 {
			code = "1" // a release that was taken back
		}
		through := strconv.Itoa(cmd.ProcessState.ExitCode()) == code
		if exit, is := err.(*exec.ExitError); is && !through && exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			ts.Fatalf("call %d of %s: %v\n%s", n, calls, err, out)
		}
		if len(args) > 2 {
			to = args[2]
		}
		w.consistent(ts, app, fmt.Sprintf("after call %d of %s:\n%s", n, calls, out))
		w.once(ts, false, []string{code})
		w.runs(ts, false, []string{app, to})
		w.current(ts, false, []string{app, to})
		w.noneHalfDone(ts)
		if through {
			w.Logf("%s: killed at %d calls, every %d", calls, killed, stride)
			return
		}
		killed++
	}
}

// noneHalfDone demands that no file or link lies about that was on its way to another name.
func (w *world) noneHalfDone(ts *testscript.TestScript) {
	ts.Check(filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), ".platypus") {
			err = fmt.Errorf("left behind: %s", path)
		}
		return err
	}))
}

// consistent checks that nothing runs but what current says.
func (w *world) consistent(ts *testscript.TestScript, app, when string) {
	target, err := os.Readlink(filepath.Join(w.dir, "srv", app, "current"))
	running, _ := w.versions(app)
	if err != nil || len(running) > 1 || len(running) == 1 && running[0] != strings.TrimPrefix(filepath.Base(target), app+"_") {
		ts.Fatalf("%v runs and current is %s (%v) %s", running, target, err, when)
	}
}

// few APP N demands that at most N processes of an app run.
func (w *world) few(ts *testscript.TestScript, _ bool, args []string) {
	most, err := strconv.Atoi(args[1])
	ts.Check(err)
	if _, pids := w.versions(args[0]); len(strings.Fields(pids)) > most {
		ts.Fatalf("more than %d processes of %s run: %s", most, args[0], pids)
	}
}
