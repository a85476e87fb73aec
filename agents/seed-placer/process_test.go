package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// until waits until ok returns true, at most for hang.
func (c *cluster) until(what string, ok func() bool) {
	c.Helper()
	for begin := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > hang {
			c.Fatalf("still not so after %v: %s", hang, what)
		}
	}
}

// said returns the state of a seed in a node's report.
func (c *cluster) said(node, seed string) intent.State {
	c.Helper()
	pair, _, err := c.store.Get(context.Background(), c.tree.Status("seed-placer", intent.Name(node)), store.Default)
	if err != nil {
		c.Fatal(err)
	}
	var r intent.Report
	if pair.Value != nil {
		if err := json.Unmarshal(pair.Value, &r); err != nil {
			c.Fatal(err)
		}
	}
	return r.Subjects[seed]
}

// put writes a key.
func (c *cluster) put(key string, noun any) {
	c.Helper()
	value, err := json.Marshal(noun)
	if err == nil {
		err = c.store.Put(context.Background(), key, value)
	}
	if err != nil {
		c.Fatal(err)
	}
}

// listener returns the worker process that listens at an address.
func (c *cluster) listener(m *member, address string) int {
	c.Helper()
	_, port, _ := strings.Cut(address, ":")
	n, _ := strconv.Atoi(port)
	sockets := map[string]bool{}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		c.Skip("needs Linux:", err)
	}
	for _, line := range strings.Split(string(table), "\n") {
		if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) && f[3] == "0A" {
			sockets["socket:["+f[9]+"]"] = true
		}
	}
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", m.cmd.Process.Pid))
	for _, file := range children {
		text, _ := os.ReadFile(file)
		for _, child := range strings.Fields(string(text)) {
			open, err := filepath.Glob("/proc/" + child + "/fd/*")
			if err != nil {
				continue
			}
			for _, fd := range open {
				if to, err := os.Readlink(fd); err == nil && sockets[to] {
					pid, _ := strconv.Atoi(child)
					return pid
				}
			}
		}
	}
	return 0
}

// murder sends SIGKILL to the worker that listens at an address, as the kernel does when memory is short.
func (c *cluster) murder(m *member, address string) {
	c.Helper()
	pid := 0
	c.until("a worker listens at "+address, func() bool { pid = c.listener(m, address); return pid != 0 })
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		c.Fatal(err)
	}
	c.until("it has ended", func() bool { return c.listener(m, address) != pid })
}

// background makes concurrent calls until it is stopped, and then returns how many succeeded, and the answers of the
// others.
func (c *cluster) background(many int, m *member, path, input string) (stop func() (good int, bad []string)) {
	var mu sync.Mutex
	var all sync.WaitGroup
	good, bad, done := 0, []string{}, make(chan struct{})
	for range many {
		all.Go(func() {
			for {
				status, said := c.call(m, path, input)
				mu.Lock()
				if status == http.StatusOK {
					good++
				} else {
					bad = append(bad, fmt.Sprintf("%d %.200s", status, said))
				}
				mu.Unlock()
				select {
				case <-done:
					return
				case <-time.After(2 * time.Millisecond):
				}
			}
		})
	}
	return sync.OnceValues(func() (int, []string) {
		close(done)
		all.Wait()
		return good, bad
	})
}

// needProc skips the test where the open files of a worker cannot be read.
func needProc(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/proc/self/fd"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs Linux, and root to see which worker listens where")
	}
}

// elsewhere returns the ready replicas of a seed except those on a node.
func (c *cluster) elsewhere(seed, node string) (nodes []string) {
	for n, r := range c.replicas(seed) {
		if n != node && r.State == intent.ReplicaReady {
			nodes = append(nodes, n)
		}
	}
	slices.Sort(nodes)
	return nodes
}
