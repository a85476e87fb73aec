package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
)

// cluster is a store and nodes, each node a process with its own address.
type cluster struct {
	testing.TB
	store *store.Store
	tree  intent.Tree
	at    string // of the store
	nodes map[string]*member
	asker *http.Client

	program []string // wrapper command of the agents, or none
	env     []string // in addition to the test's environment

	compiled string // directory of compiled code, shared by all tests by default
}

// member is one node.
type member struct {
	name    string
	address string
	state   string
	socket  string
	cmd     *exec.Cmd
	log     *consultest.Output
	ended   chan struct{}
}

func newCluster(t testing.TB, at string) *cluster {
	t.Helper()
	s, err := store.Open(store.Config{Address: at})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := intent.ParseRoot(fmt.Sprintf("cluster-%d", time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{TB: t, store: s, tree: tree, at: at, nodes: map[string]*member{}, asker: &http.Client{Timeout: hang}, compiled: compiled}
}

// start starts a node, at 127.0.0.<i>.
func (c *cluster) start(i int, args ...string) *member {
	c.Helper()
	name := fmt.Sprintf("n%d", i)
	m := c.nodes[name]
	if m == nil {
		dir, err := os.MkdirTemp("", "seeds-")
		if err != nil {
			c.Fatal(err)
		}
		m = &member{name: name, state: dir, socket: filepath.Join(dir, "s"), address: fmt.Sprintf("127.0.0.%d:%d", i, testhost.FreePort(c))}
		c.nodes[name] = m
		if err := os.Symlink(c.compiled, filepath.Join(dir, "compiled")); err != nil {
			c.Fatal(err)
		}
		c.Cleanup(func() {
			m.kill()
			_ = os.RemoveAll(dir)
			if c.Failed() {
				c.Logf("%s said:\n%s", name, m.log.Last())
			}
		})
	}
	line := append(slices.Clone(c.program), append([]string{"seed-placer", "--node", name, "--serve", m.address, "--state-dir", m.state, "--socket", m.socket}, args...)...)
	m.cmd = exec.Command(line[0], line[1:]...)
	m.cmd.Env = append(append(os.Environ(), c.env...), "CONSUL_HTTP_ADDR="+c.at, "PLATYPUS_ROOT="+strings.TrimSuffix(string(c.tree.Own()), "/"))
	m.log, m.ended = &consultest.Output{}, make(chan struct{})
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	if err := m.cmd.Start(); err != nil {
		c.Fatal(err)
	}
	go func() {
		_ = m.cmd.Wait()
		close(m.ended)
	}()
	return m
}

// kill sends SIGKILL to the agent, but not to its workers.
func (m *member) kill() {
	_ = m.cmd.Process.Kill()
	<-m.ended
}

// publish uploads a module to a node and declares it.
func (c *cluster) publish(m *member, module []byte, name string, members map[string]any) {
	c.Helper()
	unix := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", m.socket)
	}}}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, said, err := send(unix, http.MethodPut, "http://node/blob", "", string(module))
		if err != nil && time.Since(begin) < hang {
			continue
		}
		var kept struct{ SHA256 string }
		if err == nil {
			err = json.Unmarshal([]byte(said), &kept)
		}
		if err != nil {
			c.Fatal(err)
		}
		all := map[string]any{"source": "sha256:" + kept.SHA256}
		for k, v := range members {
			all[k] = v
		}
		value, err := json.Marshal(all)
		if err == nil {
			err = c.store.Put(context.Background(), c.tree.Seed(intent.Name(name)), value)
		}
		if err != nil {
			c.Fatal(err)
		}
		return
	}
}

// replicas returns the claims of a seed.
func (c *cluster) replicas(name string) map[string]intent.Replica {
	c.Helper()
	prefix := c.tree.Replicas().Join(intent.Name(name))
	pairs, _, err := c.store.List(context.Background(), prefix, store.Default)
	if err != nil {
		c.Fatal(err)
	}
	all := map[string]intent.Replica{}
	for _, p := range pairs {
		node, _ := prefix.Below(p.Key)
		decodeInto(all, node, p.Value)
	}
	return all
}

// joined waits until all started nodes take seeds: a later one would take some from the others.
func (c *cluster) joined() {
	c.Helper()
	for name := range c.nodes {
		c.until(name+" takes seeds", func() bool { return c.host(name).Address != "" })
	}
}

// answers waits until a call at a node succeeds: nodes learn of a ready replica one after the other.
func (c *cluster) answers(m *member, path, input, want string) {
	c.Helper()
	status, said := 0, ""
	for begin := time.Now(); status != http.StatusOK || said != want; time.Sleep(10 * time.Millisecond) {
		if status, said = c.call(m, path, input); time.Since(begin) > hang {
			c.Fatalf("%s at %s: %d %s, want %q", path, m.name, status, said, want)
		}
	}
}

// ready waits until want nodes have a seed ready, and returns them.
func (c *cluster) ready(name string, want int) (nodes []string) {
	c.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		nodes = nil
		for node, r := range c.replicas(name) {
			if r.State == intent.ReplicaReady {
				nodes = append(nodes, node)
			}
		}
		if len(nodes) == want {
			return nodes
		}
		if time.Since(begin) > hang {
			c.Fatalf("%s is ready on %v, want %d: %v", name, nodes, want, c.replicas(name))
		}
	}
}

// call calls a seed at a node and returns the status and the body.
func (c *cluster) call(m *member, path, input string) (int, string) {
	response, said, err := send(c.asker, http.MethodPost, "http://"+m.address+"/call/"+path, "", input)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, said
}
