package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
	"github.com/platypus-platform/platypus/store/history"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"recorder": main})
}

// stores start a store for as long as the test runs, and return its address.
var stores = map[string]func(testing.TB) string{"embedded": embedtest.Start, "consul": func(t testing.TB) string { return testhost.Consul(t, "r1") }}

// TestStories runs testdata/*.txtar with the agent as a process, on every store there is.
func TestStories(t *testing.T) {
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			address := start(t)
			testscript.Run(t, testscript.Params{
				Dir: "testdata",
				Setup: func(e *testscript.Env) error {
					for _, v := range os.Environ() {
						if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "CONSUL_") || strings.HasPrefix(name, "PLATYPUS_") {
							e.Setenv(name, "")
						}
					}
					e.Setenv("CONSUL_HTTP_ADDR", address)
					e.Setenv("PLATYPUS_ROOT", "test-"+strings.ReplaceAll(filepath.Base(e.WorkDir), ".", "-"))
					e.Setenv("PLATYPUS_NODE", "r1")
					e.Setenv("PLATYPUS_STATE_DIR", filepath.Join(e.WorkDir, "state"))
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){"put": put, "del": del, "log": showLog, "until": until, "commit": commit, "hold": hold, "many": many},
			})
		})
	}
}

// request speaks plain HTTP about a key below intent, as curl would.
func request(ts *testscript.TestScript, method, key, value string) {
	r, err := http.NewRequest(method, "http://"+ts.Getenv("CONSUL_HTTP_ADDR")+"/v1/kv/"+ts.Getenv("PLATYPUS_ROOT")+"/"+key, strings.NewReader(value))
	ts.Check(err)
	response, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
		ts.Fatalf("%s %s: %s %v", method, key, response.Status, err)
	}
}

func put(ts *testscript.TestScript, _ bool, args []string) {
	request(ts, http.MethodPut, "intent/"+args[0], args[1])
}
func del(ts *testscript.TestScript, _ bool, args []string) {
	request(ts, http.MethodDelete, args[0], "")
}

func openLog(ts *testscript.TestScript) *history.Log {
	s, err := store.Open(store.Config{Address: ts.Getenv("CONSUL_HTTP_ADDR")})
	ts.Check(err)
	tree, err := intent.ParseRoot(ts.Getenv("PLATYPUS_ROOT"))
	ts.Check(err)
	return history.Open(s, tree)
}

// lines are the commits of the log, oldest first, each as SEQ KIND KEY=VALUE….
func lines(ctx context.Context, log *history.Log) (all []string, err error) {
	for c, err := range log.Commits(ctx, history.Query{Oldest: true, Values: true}) {
		if err != nil {
			return nil, err
		}
		text := fmt.Sprint(c.Seq, " ", c.Kind)
		for _, x := range c.Changes {
			value := string(x.Value)
			if x.Op == history.Delete {
				value = "gone"
			}
			if x.Recreated {
				value += " (anew)"
			}
			text += " " + x.Key + "=" + value
		}
		all = append(all, text)
	}
	return all, nil
}

// showLog prints the log.
func showLog(ts *testscript.TestScript, _ bool, _ []string) {
	all, err := lines(context.Background(), openLog(ts))
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), strings.Join(all, "\n"))
}

// until waits until the newest commit reads like the argument; a "*" at its end stands for any rest.
func until(ts *testscript.TestScript, _ bool, args []string) {
	var all []string
	for deadline := time.Now().Add(testhost.HangLimit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if all, err = lines(context.Background(), openLog(ts)); err != nil {
			continue
		}
		if n := len(all); n > 0 && (all[n-1] == args[0] || strings.HasSuffix(args[0], "*") && strings.HasPrefix(all[n-1], strings.TrimSuffix(args[0], "*"))) {
			return
		}
	}
	ts.Fatalf("no commit %q came:\n%s", args[0], strings.Join(all, "\n"))
}

// commit KEY VALUE is a writer that goes through the history.
func commit(ts *testscript.TestScript, _ bool, args []string) {
	_, err := openLog(ts).Commit(context.Background(), history.Request{Edits: []history.Edit{{Key: args[0], Value: []byte(args[1])}},
		Note: history.Note{Author: history.Author{Name: "ann", Proof: history.Claimed}}})
	ts.Check(err)
}

// hold KEY WHY.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	_, err := openLog(ts).Hold(context.Background(), history.Hold{Key: args[0], Why: args[1], Until: time.Now().Add(time.Hour), Author: history.Author{Name: "ann"}})
	ts.Check(err)
}

// many N makes the log N commits long.
func many(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	log := openLog(ts)
	for i := range n {
		_, err := log.Commit(context.Background(), history.Request{Edits: []history.Edit{{Key: "nodes/web1/slug", Value: []byte(strconv.Itoa(i))}}})
		ts.Check(err)
	}
}
