package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/consultest"
)

// TestMain makes the test binary be setlive when a story runs it by that name.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // unless the command line says otherwise: most of the time stories wait
	testscript.Main(m, map[string]func(){"setlive": main})
}

// TestStoriesOnRunit runs testdata/*.txtar against a real runit and a real Consul.
func TestStoriesOnRunit(t *testing.T) {
	t.Parallel() // with those on systemd: most of the time they wait
	consul := testhost.Consul(t, "web1")
	stories(t, consul, func(w *world) []string {
		w.runit = testhost.NewRunit(w.T)
		return []string{"--runit", w.runit.Services, "--runit-stage", w.runit.Stage}
	})
}

// TestStoriesOnSystemd runs the same stories against a real systemd.
func TestStoriesOnSystemd(t *testing.T) {
	t.Parallel()
	address := ""
	if testhost.SharedDir() == "" {
		testhost.NeedRoot(t)
		address = "CONSUL_HTTP_ADDR=" + testhost.Consul(t, "web1")
	}
	if !testhost.InSystemd(t, address) {
		return
	}
	stories(t, os.Getenv("CONSUL_HTTP_ADDR"), func(w *world) []string {
		return []string{"-systemd", "-services", filepath.Join(testhost.Scratch(w.T), "services")}
	})
}

// stories runs every story in a world of its own: its own root in the store, its own folders, its own node. So they run
// side by side.
func stories(t *testing.T, consul string, supervisor func(*world) []string) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{T: t, root: "test-" + name + "-" + strconv.Itoa(os.Getpid()), consul: consul, node: "web1-" + name, dir: testhost.Scratch(t)}
			w.flags = append(supervisor(w), "--node", w.node, "--root", w.root+"/", "--state-dir", filepath.Join(w.dir, "state"),
				"--http-addr", consul, "--resync", "2s")
			t.Cleanup(w.end)
			testscript.Run(t, testscript.Params{Files: []string{file}, Cmds: w.commands(), WorkdirRoot: w.dir,
				Condition: func(what string) (bool, error) {
					return what == "runit" && w.flags[0] == "--runit" || what == "root" && os.Geteuid() == 0 || what == "faults" && os.Getenv("PLATYPUS_FAULTS") != "", nil
				},
				Setup: func(env *testscript.Env) error {
					env.Setenv("NODE", w.node)
					env.Setenv("SRV", filepath.Join(w.dir, "srv"))
					if w.flags[0] == "--runit" {
						env.Setenv("SERVICES", w.flags[1])
						env.Setenv("STAGE", w.flags[3])
					}
					env.Setenv("STATE", filepath.Join(w.dir, "state"))
					env.Setenv("PORT", strconv.Itoa(testhost.FreePort(t)))
					return nil
				}})
		})
	}
}

// world is what one story acts on.
type world struct {
	*testing.T
	root, consul, dir string
	node              string
	flags             []string
	agent             *exec.Cmd
	said              consultest.Output
	old               *testhost.Stale // before the store, when a story wants that
	runit             *testhost.Runit // nil on systemd
}

type command = func(ts *testscript.TestScript, neg bool, args []string)

func (w *world) commands() map[string]command {
	return map[string]command{
		"put": w.put, "del": w.del, "prepare": w.prepare, "once": w.once, "agent": w.start, "end": w.finish,
		"runs": w.runs, "current": w.current, "report": w.report, "listed": w.listed, "remember": w.remember, "same": w.same,
		"peer": w.peer, "hold": w.hold, "release": w.release, "sweep": w.sweep, "refuse": w.refuse, "expire": w.expire,
		"stale": w.stale, "steady": w.steady, "heard": w.heard, "old": w.oldService, "killed": w.killed,
		"disk": w.disk, "fill": w.fill, "roomy": w.fill, "readonly": w.remount, "writable": w.remount,
		"trapped": w.trapped, "says": w.says, "freeze": w.freeze, "thaw": w.freeze, "supervisor": w.supervisor,
		"files": w.files, "confirm": w.confirm, "called": w.called, "few": w.few,
	}
}

func (w *world) request(method, path, body string) (int, string) {
	request, err := http.NewRequest(method, "http://"+w.consul+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// put KEY JSON writes a key below intent/.
func (w *world) put(ts *testscript.TestScript, _ bool, args []string) {
	if code, body := w.request("PUT", "kv/"+w.root+"/intent/"+args[0], args[1]); code != 200 {
		ts.Fatalf("put: %d %s", code, body)
	}
}

// confirm APP... lets setlive remove these apps, as platypus confirm does.
func (w *world) confirm(ts *testscript.TestScript, _ bool, args []string) {
	value, err := json.Marshal(intent.Confirmation{Removes: args, At: time.Now()})
	ts.Check(err)
	if code, body := w.request("PUT", "kv/"+w.root+"/confirm/"+w.node+"/setlive", string(value)); code != 200 {
		ts.Fatalf("confirm: %d %s", code, body)
	}
}

// called NODE DIR gives setlive another node name and another state directory from now on.
func (w *world) called(_ *testscript.TestScript, _ bool, args []string) {
	w.node = args[0]
	w.flags[slices.Index(w.flags, "--node")+1] = args[0]
	w.flags[slices.Index(w.flags, "--state-dir")+1] = filepath.Join(w.dir, args[1])
}

// del KEY deletes a key below intent/.
func (w *world) del(ts *testscript.TestScript, _ bool, args []string) {
	if code, body := w.request("DELETE", "kv/"+w.root+"/intent/"+args[0], ""); code != 200 {
		ts.Fatalf("del: %d %s", code, body)
	}
}

// web is a script that serves a port.
const web = "exec python3 -c 'import http.server,sys; http.server.HTTPServer((\"127.0.0.1\",int(sys.argv[1])),http.server.SimpleHTTPRequestHandler).serve_forever()' %s\n"

// kinds are the programs that stories run.
var kinds = map[string]string{
	"calm": testhost.Calm, "stubborn": testhost.Stubborn, "doomed": testhost.Doomed,
	"fatal":   "#!/bin/sh\necho starting $PLATYPUS_VERSION\necho FATAL: cannot open database >&2\nexit 3\n",
	"killed":  "#!/bin/sh\nkill -9 $$\n",
	"done":    "#!/bin/sh\necho all done\n",
	"nowhere": "#!/no/such/interpreter\n",
	"web":     "#!/bin/sh\n" + web,
	// Two that go into the background: at once, and once they serve, as most daemons do.
	"forks":      "#!/bin/sh\n[ -n \"$2\" ] || exec setsid -f \"$0\" x x\n" + web,
	"forks-late": "#!/bin/sh\n[ -n \"$2\" ] || { setsid -f \"$0\" x x; sleep 3; exit 0; }\n" + web,
	"leaves":     "#!/bin/sh\nsetsid -f sleep 1000\n",
	// Two that are their own check: what sick says when it is asked is no.
	"sound": "#!/bin/sh\n[ \"$1\" = check ] && exit 0\nexec sleep 1000\n",
	// One that ends as soon as a file is there, and one that copies its config to a file at its start and at HUP.
	"fickle":  "#!/bin/sh\nwhile [ ! -e %s ]; do sleep 0.05; done\nexit 3\n",
	"reloads": "#!/bin/sh\nout=%s\nkeep() { cat \"$PLATYPUS_CONFIG\" >$out.new && mv $out.new $out; }\ntrap keep HUP\nkeep\nsleep 1000 &\nwhile :; do wait $!; done\n",
	"sick":    "#!/bin/sh\n[ \"$1\" = check ] && exit 1\nexec sleep 1000\n",
}

// prepare APP VERSION KIND [PORT] installs a version, as preparer would.
func (w *world) prepare(ts *testscript.TestScript, _ bool, args []string) {
	script := kinds[args[2]]
	if len(args) > 3 {
		script = fmt.Sprintf(script, args[3])
	}
	testhost.Prepare(w.T, filepath.Join(w.dir, "srv", args[0]), args[0], args[1], script)
}

// once CODE [FLAG...] runs setlive --once, or with the flags given, and checks its exit code.
func (w *world) once(ts *testscript.TestScript, _ bool, args []string) {
	mode := []string{"--once"}
	if len(args) > 1 {
		mode = args[1:]
	}
	err := ts.Exec("setlive", append(mode, w.flags...)...)
	code := "0"
	if exit, failed := err.(*exec.ExitError); failed {
		code = strconv.Itoa(exit.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("exit %s, want %s (%v)", code, args[0], err)
	}
}

// agent starts setlive to run on.
func (w *world) start(ts *testscript.TestScript, _ bool, args []string) {
	program, err := exec.LookPath("setlive")
	if err != nil {
		ts.Fatalf("%v", err)
	}
	w.agent = exec.Command(program, append(args, w.flags...)...)
	w.agent.Stdout, w.agent.Stderr = &w.said, &w.said
	ts.Check(w.agent.Start())
}

// end SIGNAL ends the agent and waits for that.
func (w *world) finish(ts *testscript.TestScript, _ bool, args []string) {
	signal := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM}[args[0]]
	ts.Check(w.agent.Process.Signal(signal))
	_ = w.agent.Wait()
	w.agent = nil
}

func (w *world) end() {
	if w.agent != nil {
		_ = w.agent.Process.Kill()
		_ = w.agent.Wait()
	}
	if w.Failed() {
		w.Logf("setlive said:\n%s", w.said.String())
	}
	w.request("DELETE", "kv/"+w.root+"/?recurse", "")
	w.tidy()
}

// tidy removes what a story left under systemd, by letting setlive see that nothing is wanted.
func (w *world) tidy() {
	if !slices.Contains(w.flags, "-systemd") {
		return
	}
	homes, _ := filepath.Glob(filepath.Join(w.flags[slices.Index(w.flags, "-services")+1], "*"))
	for _, home := range homes {
		unit := "platypus-" + filepath.Base(home) + ".service"
		_ = exec.Command("systemctl", "kill", "-s", "KILL", unit).Run()
		_ = exec.Command("systemctl", "stop", unit).Run()
		_ = os.Remove(filepath.Join("/etc/systemd/system", unit))
	}
	_ = exec.Command("systemctl", "daemon-reload").Run()
}

// versions finds out what runs without asking setlive: by the folders that processes were started in.
func (w *world) versions(app string) (versions []string, pids string) {
	prefix := filepath.Join(w.dir, "srv", app, "installs", app+"_")
	procs, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, proc := range procs {
		cwd, err := os.Readlink(proc)
		if version, ok := strings.CutPrefix(cwd, prefix); err == nil && ok && !strings.HasSuffix(cwd, "/run") {
			if !slices.Contains(versions, version) {
				versions = append(versions, version)
			}
			pids += filepath.Base(filepath.Dir(proc)) + " "
		}
	}
	slices.Sort(versions)
	return versions, pids
}

// runs APP [VERSION...] waits until processes of exactly these versions run.
func (w *world) runs(ts *testscript.TestScript, _ bool, args []string) {
	w.eventually(ts, func() error {
		if got, _ := w.versions(args[0]); !slices.Equal(got, args[1:]) {
			return fmt.Errorf("%s runs %v, want %v", args[0], got, args[1:])
		}
		return nil
	})
}

// mains are the processes of an app that no other of its processes started: what those start comes and goes.
func (w *world) mains(app string) (mains string) {
	_, pids := w.versions(app)
	all := strings.Fields(pids)
	for _, pid := range all {
		stat, _ := os.ReadFile("/proc/" + pid + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && !slices.Contains(all, fields[1]) {
			mains += pid + " "
		}
	}
	return mains
}

// remember APP notes the processes of an app; same APP checks that they are still the same.
func (w *world) remember(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("PIDS_"+args[0], w.mains(args[0]))
}

func (w *world) same(ts *testscript.TestScript, neg bool, args []string) {
	pids := w.mains(args[0])
	if was := ts.Getenv("PIDS_" + args[0]); (pids == was) == neg {
		ts.Fatalf("processes were %s and are %s", was, pids)
	}
}
