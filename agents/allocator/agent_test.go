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

// TestMain runs the test binary as the allocator or as the store when PLATYPUS_TEST_PROGRAM names one of them.
func TestMain(m *testing.M) {
	switch os.Getenv("PLATYPUS_TEST_PROGRAM") {
	case program:
		if longer, err := time.ParseDuration(os.Getenv("PLATYPUS_TEST_GRACE")); err == nil {
			takeoverDelay = longer
		}
		main()
	case storeProgram:
		serveStore(os.Args[1])
	}
	testscript.Main(m, map[string]func(){program: main})
}

// storeProgram makes the test binary serve the embedded store.
const storeProgram = "store"

// serveStore serves the store from a directory until the process is killed, and prints its address.
func serveStore(data string) {
	config := embedded.Config{Data: data, Listen: "127.0.0.1:0", NoToken: true}
	panic(embedded.Serve(context.Background(), config, func(address string) { fmt.Println(address) }))
}

// TestStories runs testdata/*.txtar against the embedded store, each below its own root.
func TestStories(t *testing.T) { stories(t, embedtest.Start(t)) }

// TestStoriesOnConsul runs the same scripts against a real Consul.
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
			talk := &scriptCommands{store: s, root: root}
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

// scriptCommands are the script commands that read and write the store, relative to root.
type scriptCommands struct {
	store *store.Store
	root  string
}

// retry repeats a store call until it succeeds: a single call may time out on a busy machine.
func (c *scriptCommands) retry(ts *testscript.TestScript, do func(context.Context) error) {
	err := do(context.Background())
	for end := time.Now().Add(testhost.HangLimit); err != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		err = do(context.Background())
	}
	ts.Check(err)
}

// put KEY VALUE writes a key.
func (c *scriptCommands) put(ts *testscript.TestScript, _ bool, args []string) {
	c.retry(ts, func(ctx context.Context) error {
		return c.store.Put(ctx, c.root+args[0], []byte(strings.Join(args[1:], " ")))
	})
}

// del KEY deletes a key.
func (c *scriptCommands) del(ts *testscript.TestScript, _ bool, args []string) {
	c.retry(ts, func(ctx context.Context) error { return c.store.Delete(ctx, c.root+args[0]) })
}

// until KEY PATTERN waits until the value matches; with ! until the key is absent.
func (c *scriptCommands) until(ts *testscript.TestScript, neg bool, args []string) {
	var last string
	for end := time.Now().Add(testhost.HangLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		p, found, err := c.store.Get(context.Background(), c.root+args[0], store.Default)
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

// still PREFIX… waits until no key below the prefixes has been written for 2.5 s: a late report may still be pending.
// It fails when writes do not stop.
func (c *scriptCommands) still(ts *testscript.TestScript, _ bool, args []string) {
	before, since := c.state(ts, args), time.Now()
	for end := since.Add(testhost.HangLimit); time.Since(since) < 2500*time.Millisecond; time.Sleep(100 * time.Millisecond) {
		now := c.state(ts, args)
		if slices.Equal(before, now) {
			continue
		}
		if time.Now().After(end) {
			ts.Fatalf("it was %v and is %v", before, now)
		}
		before, since = now, time.Now()
	}
}

func (c *scriptCommands) state(ts *testscript.TestScript, folders []string) (state []string) {
	for _, folder := range folders {
		c.retry(ts, func(ctx context.Context) error {
			pairs, _, err := c.store.List(ctx, intent.Prefix(c.root+folder), store.Consistent)
			for _, p := range pairs {
				state = append(state, fmt.Sprintf("%s@%d", p.Key, p.ModifyIndex))
			}
			return err
		})
	}
	return state
}

// end PROGRAM stops a background program by name with SIGTERM.
func (c *scriptCommands) end(ts *testscript.TestScript, _ bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		if strings.Contains(strings.Join(cmd.Args, " "), args[0]) && cmd.ProcessState == nil {
			ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		}
	}
}

// process returns the command of an allocator in its own process, so that tests can kill it.
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

// waitExit waits for a process that was signalled; its exit code does not matter.
func waitExit(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
}
