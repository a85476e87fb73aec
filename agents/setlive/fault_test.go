package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// refuse APP CALLS ERROR [on] switches between v1 and v2 while the first, the second, … of these system calls of each
// thread fails, and with "on" all that come after it, of setlive and of what it starts, until none is left to fail. Those
// far on are of somebody who waits and looks over and over: of these it takes fewer. Setlive may fail for that; what runs
// is what current says all the same, and the next setlive finishes the work.
func (w *world) refuse(ts *testscript.TestScript, _ bool, args []string) {
	app, calls, trace := args[0], args[1], filepath.Join(w.dir, "trace")
	path, err := exec.LookPath("strace")
	ts.Check(err)
	tries, failed, on := 0, 0, ""
	if len(args) > 3 {
		on = "+"
	}
	for n := 1; ; n += 1 + n/40 {
		from, to := "v1", "v2"
		if tries++; tries%2 == 0 {
			from, to = to, from
		}
		w.put(ts, false, []string{"clusters/" + app + "/production/config",
			fmt.Sprintf(`{"versions":{%q:"active",%q:"prep"},"user_config":{"calls":%q,"error":%q,"n":%d}}`, to, from, calls, args[2]+on, n)})
		inject := fmt.Sprintf("inject=%s:error=%s:when=%d%s", calls, args[2], n, on)
		strace := append([]string{"-f", "-qq", "-o", trace, "-e", "trace=" + calls, "-e", inject, "setlive", "--once"}, w.flags...)
		out, err := exec.Command(path, strace...).CombinedOutput()
		when := fmt.Sprintf("after %s of call %d%s of %s:\n%s", args[2], n, on, calls, out)
		if bytes.Contains(out, []byte("panic: ")) {
			ts.Fatalf("%s", when)
		}
		w.consistent(ts, app, when)
		said, errTrace := os.ReadFile(trace)
		ts.Check(errTrace)
		w.once(ts, false, []string{"0"})
		w.runs(ts, false, []string{app, to})
		w.current(ts, false, []string{app, to})
		w.noneHalfDone(ts)
		if !bytes.Contains(said, []byte("(INJECTED)")) {
			ts.Check(err)
			w.Logf("%s%s of %s: at %d calls, the last of them before number %d, and setlive failed for %d", args[2], on, calls, tries-1, n, failed)
			return
		}
		if err != nil {
			failed++
		}
	}
}

// files N lets the agent open files as long as it has fewer than that; what it has open it keeps.
func (w *world) files(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("prlimit", "--pid", strconv.Itoa(w.agent.Process.Pid), "--nofile="+args[0]+":"))
}

// expire APP CLUSTER ends the session that holds a cluster's lease, as the store does by itself once it was not renewed
// for long enough.
func (w *world) expire(ts *testscript.TestScript, _ bool, args []string) {
	_, body := w.request("GET", "kv/"+w.root+"/locks/"+args[0]+"/"+args[1]+"/switch", "")
	var pairs []struct{ Session string }
	if err := json.Unmarshal([]byte(body), &pairs); err != nil || len(pairs) != 1 || pairs[0].Session == "" {
		ts.Fatalf("nobody holds it: %s", body)
	}
	if code, text := w.request("PUT", "session/destroy/"+pairs[0].Session, ""); code != 200 {
		ts.Fatalf("destroy session: %d %s", code, text)
	}
}
