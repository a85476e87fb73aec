package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/platypus-platform/platypus/deploy/acl"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/history"
)

// TestManyWritersAtOnce lets people roll out different apps at the same time, each with the program as a process, while
// somebody writes plainly: nobody is refused, no number is given twice, and the history replayed is what stands.
func TestManyWritersAtOnce(t *testing.T) {
	const people, rollouts = 5, 6
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, dir := start(t), t.TempDir()
			cli := func(args ...string) (string, error) {
				cmd := exec.Command(self)
				cmd.Args = append([]string{"platypus", "--http-addr", address, "--root", "many"}, args...)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			var all sync.WaitGroup
			for p := range people {
				file := filepath.Join(dir, fmt.Sprint(p))
				write(t, file, fmt.Sprintf(`{"clusters/a%d/p/config": {"versions": {}}, "clusters/a%d/p/deploy_config": {"basedir": "/srv/a%d"}}`, p, p, p))
				all.Go(func() {
					if out, err := cli("apply", file); err != nil {
						t.Errorf("apply: %v: %s", err, out)
					}
					for i := range rollouts {
						if out, err := cli("rollout", fmt.Sprintf("a%d", p), fmt.Sprintf("v%d", i)); err != nil || !strings.Contains(out, "as commit ") {
							t.Errorf("rollout: %v: %s", err, out)
						}
					}
				})
			}
			s, err := store.Open(store.Config{Address: address})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				for i := range 50 {
					if err := s.Put(context.Background(), "many/intent/nodes/n/plain", []byte(fmt.Sprintf(`{"cluster":"p%d"}`, i))); err != nil {
						t.Error(err)
					}
				}
			})
			all.Wait()
			tree, _ := intent.ParseRoot("many")
			checkHistory(t, history.Open(s, tree), people*(rollouts+1))
		})
	}
}

// checkHistory looks at a history that many wrote: every commit of theirs is in it once, and it says what stands.
func checkHistory(t *testing.T, log *history.Log, want int) {
	t.Helper()
	ctx := context.Background()
	survey, err := log.Survey(ctx)
	if err == nil {
		_, err = log.Observe(ctx, survey)
	}
	if err != nil {
		t.Fatal(err)
	}
	commits, next := 0, uint64(1)
	for c, err := range log.Commits(ctx, history.Query{Oldest: true}) {
		if err != nil || c.Fault != nil || c.Seq != next {
			t.Fatalf("commit %d, want %d: %v %v", c.Seq, next, err, c.Fault)
		}
		if next++; c.Kind == history.Set {
			commits++
		}
	}
	if commits != want {
		t.Errorf("%d commits, want %d", commits, want)
	}
	state, err := log.At(ctx, next-1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range survey.Pairs {
		if v, _ := state.Get(strings.TrimPrefix(p.Key, "many/intent/")); !bytes.Equal(v.Data, p.Value) {
			t.Errorf("%s is %s, in the history %s", p.Key, p.Value, v.Data)
		}
	}
	if faults, err := log.Verify(ctx); err != nil || len(faults) > 0 {
		t.Errorf("%v %v", faults, err)
	}
}

// TestRecorderToken runs a recorder with the token that deploy/acl gives it, on a Consul that denies by default: it records,
// reports and is seen to be alive, and nothing of intent is its to write.
func TestRecorderToken(t *testing.T) {
	t.Parallel()
	address, dir, bin := startGuardedConsul(t), t.TempDir(), binaries(t)
	file, operator := filepath.Join(dir, "recorder.token"), filepath.Join(dir, "operator.token")
	const node = "n1" // a session belongs to a node of Consul, and this is its name there
	write(t, file, token(t, address, acl.Recorder, node))
	write(t, operator, token(t, address, acl.Operator, ""))
	plain, err := store.Open(store.Config{Address: address, TokenFile: operator})
	if err != nil {
		t.Fatal(err)
	}
	if err := plain.Put(context.Background(), "platypus/intent/nodes/n/a", []byte(`{"cluster":"p"}`)); err != nil {
		t.Fatal(err)
	}
	var said consultest.Output
	cmd := exec.Command(filepath.Join(bin, "recorder"), "--http-addr", address, "--token-file", file, "--node", node, "--state-dir", dir, "--resync", "1s")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	tree, _ := intent.ParseRoot("platypus")
	eventually(t, "it recorded, reported and shows that it lives", func() bool {
		c, err := history.Open(plain, tree).Show(context.Background(), 1)
		_, reported, err2 := plain.Get(context.Background(), tree.Status("recorder", intent.Name(node)), store.Default)
		_, alive, err3 := plain.Get(context.Background(), tree.Alive(intent.Name(node), "recorder"), store.Default)
		return err == nil && err2 == nil && err3 == nil && c.Kind == history.Observed && reported && alive
	})
	own, err := store.Open(store.Config{Address: address, TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Put(context.Background(), "platypus/intent/nodes/n/a", []byte(`{}`)); err == nil {
		t.Error("it may write intent")
	}
	if strings.Contains(said.String(), "WARN") {
		t.Errorf("it was refused something: %s", &said)
	}
}
