package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestBlobsThatNothingNamesAreCollected: the module of a seed that is declared anew, or not at all any more, goes once it
// is old enough; what is named, or has only just been put there, stays.
func TestBlobsThatNothingNamesAreCollected(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	c.compiled = t.TempDir()
	m := c.start(1, "--resync", "200ms")
	c.publish(m, fixture.Go(t, "page"), "s", nil)
	c.ready("s", 1)
	before := c.replicas("s")["n1"].Digest
	c.publish(m, fixture.Go(t, "hello"), "s", nil)
	c.until("the new module is ready", func() bool { r := c.replicas("s")["n1"]; return r.State == "ready" && r.Digest != before })
	after := c.replicas("s")["n1"].Digest
	c.publish(m, fixture.Go(t, "reactor+"), "young", nil)
	young := c.ready("young", 1)[0]
	digest := c.replicas("young")[young].Digest
	if err := c.store.Delete(t.Context(), c.tree.Seed("young")); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * uploadGrace)
	for _, d := range []string{before, after} {
		if err := os.Chtimes(c.blob(m, d), long, long); err != nil {
			t.Fatal(err)
		}
	}
	code := func(digest string) int {
		folders, err := filepath.Glob(filepath.Join(c.compiled, "*", digest+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(folders)
	}
	c.until("the old module is collected", func() bool { return c.blob(m, before) == "" && code(before) == 0 })
	if code(after) != 1 {
		t.Errorf("the code of the new module is there %d times", code(after))
	}
	c.until("nobody says to hold it", func() bool {
		pairs, _, err := c.store.List(context.Background(), c.tree.Holders(), store.Default)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pairs {
			if strings.Contains(p.Key, before) {
				return false
			}
		}
		return true
	})
	c.until("the seed is given up", func() bool { return len(c.replicas("young")) == 0 })
	if c.blob(m, after) == "" || c.blob(m, digest) == "" {
		t.Errorf("too much is collected: %q, %q", c.blob(m, after), c.blob(m, digest))
	}
	if status, said := c.call(m, "s/", "x"); status != 200 {
		t.Errorf("%d %s", status, said)
	}
	if err := os.Chtimes(c.blob(m, digest), long, long); err != nil {
		t.Fatal(err)
	}
	c.until("the last one is collected, too", func() bool { return c.blob(m, digest) == "" })
}

// blob is the file of a blob on a node, or "".
func (c *cluster) blob(m *member, digest string) (file string) {
	c.Helper()
	_ = filepath.WalkDir(filepath.Join(m.state, "blobs"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, digest) {
			file = path
		}
		return nil
	})
	return file
}

// TestLoadScales: a seed that has much to do gets replicas up to its most, and gives them back once it has been calm for
// long enough, and all its instances with them; the next call makes one anew.
func TestLoadScales(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	for i := 1; i <= 4; i++ {
		c.start(i, "--calm", "3s", "--log-level", "debug")
	}
	c.joined()
	c.publish(c.nodes["n1"], fixture.Go(t, "reactor+"), "s", map[string]any{"min_replicas": 1, "max_replicas": 3, "concurrency": 4})
	first := c.ready("s", 1)[0]
	stop := c.background(8, c.nodes[first], "s/nap", "50ms")
	c.ready("s", 3)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ready := c.elsewhere("s", ""); len(ready) > 3 {
			t.Fatalf("more than the most: %v", ready)
		}
	}
	good, _ := stop()
	last := c.ready("s", 1)[0]
	c.until("all others have given it up", func() bool { return len(c.replicas("s")) == 1 })
	c.until("no idle instance is left", func() bool {
		log := c.nodes[last].log.String()
		return strings.Contains(log, "idle instances were ended, 0 are left")
	})
	if status, said := c.call(c.nodes[last], "s/hello", "again"); status != 200 || said != "hello, again" {
		t.Errorf("%d %s", status, said)
	}
	t.Logf("%d calls answered; from %s to three and back to %s", good, first, last)
}
