package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedded"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestMain makes the test binary be the allocator, or the store, when it is run by that name.
func TestMain(m *testing.M) {
	switch os.Getenv("PLATYPUS_TEST_PROGRAM") {
	case program:
		if longer, err := time.ParseDuration(os.Getenv("PLATYPUS_TEST_GRACE")); err == nil {
			grace = longer
		}
		main()
	case storeProgram:
		serveStore(os.Args[1])
	}
	testscript.Main(m, map[string]func(){program: main})
}

// storeProgram is the name under which the test binary is the one-machine store.
const storeProgram = "store"

// serveStore serves the store in a folder until the process is killed, and says where.
func serveStore(data string) {
	config := embedded.Config{Data: data, Listen: "127.0.0.1:0", NoToken: true}
	panic(embedded.Serve(context.Background(), config, func(address string) { fmt.Println(address) }))
}

// TestStories runs testdata/*.txtar, each in a tree of its own.
func TestStories(t *testing.T) { stories(t, embedtest.Start(t)) }

// TestStoriesOnConsul runs them against a real Consul.
func TestStoriesOnConsul(t *testing.T) { stories(t, testhost.Consul(t, "a1")) }

func stories(t *testing.T, address string) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			root := fmt.Sprintf("test-%s-%d/", name, os.Getpid())
			s, err := store.Open(store.Config{Address: address})
			if err != nil {
				t.Fatal(err)
			}
			talk := &talk{store: s, root: root}
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: func(env *testscript.Env) error {
					env.Setenv("CONSUL_HTTP_ADDR", address)
					env.Setenv("PLATYPUS_ROOT", root)
					env.Setenv("PLATYPUS_NODE", "a1")
					env.Setenv("PLATYPUS_STATE_DIR", filepath.Join(env.WorkDir, "state"))
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"put": talk.put, "del": talk.del, "until": talk.until, "still": talk.still, "end": talk.end,
				},
			})
		})
	}
}

// talk is what stories say to the store, below their root.
type talk struct {
	store *store.Store
	root  string
}

// persist does something with the store until the store does it: one on a busy machine may be late for once.
func (k *talk) persist(ts *testscript.TestScript, do func(context.Context) error) {
	err := do(context.Background())
	for end := time.Now().Add(testhost.HangLimit); err != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		err = do(context.Background())
	}
	ts.Check(err)
}

// put KEY VALUE writes a key.
func (k *talk) put(ts *testscript.TestScript, _ bool, args []string) {
	k.persist(ts, func(ctx context.Context) error {
		return k.store.Put(ctx, k.root+args[0], []byte(strings.Join(args[1:], " ")))
	})
}

// del KEY removes a key.
func (k *talk) del(ts *testscript.TestScript, _ bool, args []string) {
	k.persist(ts, func(ctx context.Context) error { return k.store.Delete(ctx, k.root+args[0]) })
}

// until KEY PATTERN waits until the value matches; with ! until the key is gone.
func (k *talk) until(ts *testscript.TestScript, neg bool, args []string) {
	var last string
	for end := time.Now().Add(testhost.HangLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		p, found, err := k.store.Get(context.Background(), k.root+args[0], store.Default)
		if neg && err == nil && !found {
			return
		}
		last = fmt.Sprintf("%s (%v)", p.Value, err)
		if !neg && found && regexp.MustCompile(args[1]).MatchString(string(p.Value)) {
			return
		}
	}
	ts.Fatalf("%s is %q", args[0], last)
}

// still FOLDER… waits until nothing below them has been written for a while: a report may be due, and late. What is
// written again and again never is still.
func (k *talk) still(ts *testscript.TestScript, _ bool, args []string) {
	before, since := k.state(ts, args), time.Now()
	for end := since.Add(testhost.HangLimit); time.Since(since) < 2500*time.Millisecond; time.Sleep(100 * time.Millisecond) {
		now := k.state(ts, args)
		if slices.Equal(before, now) {
			continue
		}
		if time.Now().After(end) {
			ts.Fatalf("it was %v and is %v", before, now)
		}
		before, since = now, time.Now()
	}
}

func (k *talk) state(ts *testscript.TestScript, folders []string) (state []string) {
	for _, folder := range folders {
		k.persist(ts, func(ctx context.Context) error {
			pairs, _, err := k.store.List(ctx, intent.Prefix(k.root+folder), store.Consistent)
			for _, p := range pairs {
				state = append(state, fmt.Sprintf("%s@%d", p.Key, p.ModifyIndex))
			}
			return err
		})
	}
	return state
}

// end PROGRAM ends a program of the background by name and waits for it.
func (k *talk) end(ts *testscript.TestScript, _ bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		if strings.Contains(strings.Join(cmd.Args, " "), args[0]) && cmd.ProcessState == nil {
			ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		}
	}
}

// process is an allocator as a process that may be killed.
func process(t testing.TB, address, root, node string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "PLATYPUS_TEST_PROGRAM="+program, "CONSUL_HTTP_ADDR="+address, "PLATYPUS_ROOT="+root,
		"PLATYPUS_NODE="+node, "PLATYPUS_STATE_DIR="+filepath.Join(t.TempDir(), node))
	return cmd
}

// ended waits for a process that was told to end.
func ended(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
}
