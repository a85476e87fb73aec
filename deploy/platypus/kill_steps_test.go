package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/history"
)

// stepKiller stands between the program and the store, and kills the program at its n-th request: before the store hears of
// it, or once the store has answered and before the program knows.
type stepKiller struct {
	mu    sync.Mutex
	n     int // requests left; 0: never
	after bool
	kill  func()
	next  http.Handler
}

func (r *stepKiller) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock() // one at a time, so that the n-th is the same in every run
	r.n--
	if r.n == 0 && !r.after {
		r.kill()
		return
	}
	if r.n == 0 {
		r.next.ServeHTTP(httptest.NewRecorder(), request)
		r.kill()
		return
	}
	r.next.ServeHTTP(w, request)
}

// TestKilledAtEveryStep kills -9 each verb that writes at each of its requests. Values and history must agree whenever that
// is: all of it happened or nothing; and doing the same again ends well.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "consul" { // each run in this process keeps a connection for a while
				start = func(t testing.TB) string {
					limits := map[string]any{"limits": map[string]any{"http_max_conns_per_client": 4000}}
					return consultest.Start(t, consultest.Config{More: limits}).Addr
				}
			}
			address := start(t)
			dir := t.TempDir()
			write(t, filepath.Join(dir, "one.json"), `{"nodes/n/a": {"cluster": "p"}, "clusters/a/p/config": {"versions": {"1": "active"}}, "clusters/a/p/deploy_config": {"basedir": "/srv/a"}}`)
			write(t, filepath.Join(dir, "two.json"), `{"nodes/n/a": null, "clusters/a/p/config": {"versions": {"2": "active"}}, "clusters/a/p/deploy_config": {"basedir": "/srv/a", "ports": [80]}}`)
			for verb, story := range map[string]struct{ before, killed []string }{
				"first":   {nil, []string{"apply", "--yes", "one.json"}},
				"apply":   {[]string{"apply --yes one.json", "plain"}, []string{"apply", "--yes", "two.json"}},
				"rollout": {[]string{"apply --yes one.json"}, []string{"rollout", "a", "2"}},
				"revert":  {[]string{"apply --yes one.json", "apply --yes two.json"}, []string{"revert", "2", "--yes"}},
				"restore": {[]string{"apply --yes one.json", "apply --yes two.json", "plain"}, []string{"restore", "/@1", "--yes"}},
				"join":    {[]string{"apply --yes one.json", "fork f", "--root=FORK apply --yes two.json"}, []string{"join", "f", "--yes"}},
				"fork":    {[]string{"apply --yes one.json", "plain"}, []string{"fork", "f"}},
				"tag":     {[]string{"apply --yes one.json"}, []string{"tag", "golden"}},
			} {
				t.Run(verb, func(t *testing.T) {
					t.Parallel()
					kills := 0
					for _, after := range []bool{false, true} {
						for n := 1; ; n++ {
							w := killFixture{t: t, address: address, dir: dir, root: fmt.Sprintf("kill-%s-%t-%d", verb, after, n)}
							if !w.once(story.before, story.killed, n, after) {
								break
							}
							kills++
						}
					}
					t.Logf("killed %d times", kills)
					if kills < 4 {
						t.Errorf("killed only %d times: does the program go through the reaper?", kills)
					}
				})
			}
		})
	}
}

// killFixture is one tree that a program is killed in.
type killFixture struct {
	t                  *testing.T
	address, dir, root string
}

// once prepares a tree, kills the program at its n-th request and looks at what is left. It returns false when the program
// ended before it had made so many.
func (w killFixture) once(before, killed []string, n int, after bool) bool {
	w.t.Helper()
	for _, line := range before {
		if line == "plain" {
			w.plain("nodes/n/a", `{"cluster":"plain"}`)
			continue
		}
		if code, said := w.run(w.address, strings.Fields(line)); code != 0 {
			w.t.Fatalf("%s: exit %d: %s", line, code, said)
		}
	}
	was := w.declared()
	died := w.kill(killed, n, after)
	is := w.declared()
	where := fmt.Sprintf("killed at request %d (after the answer: %t)", n, after)
	w.agree(where)
	code, said := w.run(w.address, killed)
	again := strings.Contains(said, "exists already") // a tag or a fork that is there
	if code != 0 && !again && !strings.Contains(said, "unchanged") {
		w.t.Errorf("%s: the same again: exit %d: %s", where, code, said)
	}
	if end := w.declared(); is != was && is != end {
		w.t.Errorf("%s: half of it happened:\nbefore %s\nthen   %s\nend    %s", where, was, is, end)
	}
	w.agree(where + ", and done again")
	return died
}

// kill runs the program as a process and reports whether it was killed.
func (w killFixture) kill(args []string, n int, after bool) bool {
	w.t.Helper()
	target, err := url.Parse("http://" + w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self)
	started := make(chan struct{})
	proxy := httputil.NewSingleHostReverseProxy(target)
	// A connection that is used again may be one that the server just closed: that would be a failure of the proxy's own.
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	r := &stepKiller{n: n, after: after, next: proxy, kill: func() { <-started; _ = cmd.Process.Kill() }}
	server := httptest.NewServer(r)
	defer func() { server.CloseClientConnections(); server.Close() }()
	cmd.Args = append([]string{"platypus", "--http-addr", server.URL}, w.args(args)...)
	cmd.Env = append(os.Environ(), "PLATYPUS_ROOT="+w.root, "CONSUL_HTTP_ADDR=")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	close(started)
	err = cmd.Wait()
	if err != nil && cmd.ProcessState.Exited() {
		w.t.Fatalf("%v: %v: %s", args, err, &said)
	}
	return err != nil
}

func (w killFixture) args(args []string) []string {
	all := []string{}
	for _, a := range args {
		if strings.HasSuffix(a, ".json") {
			a = filepath.Join(w.dir, a)
		}
		all = append(all, strings.ReplaceAll(a, "FORK", w.root+"/forks/f"))
	}
	return all
}

// run runs the program in this process, straight to the store.
func (w killFixture) run(address string, args []string) (int, string) {
	var said bytes.Buffer
	args = append([]string{"platypus", "--http-addr", address, "--root", w.root}, w.args(args)...)
	code := run(context.Background(), args, stdio{strings.NewReader(""), &said, &said})
	return code, said.String()
}

func (w killFixture) open() (*store.Store, *history.Log) {
	s, err := store.Open(store.Config{Address: w.address})
	if err != nil {
		w.t.Fatal(err)
	}
	tree, err := intent.ParseRoot(w.root)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, history.Open(s, tree)
}

func (w killFixture) plain(key, value string) {
	s, log := w.open()
	if err := s.Put(context.Background(), string(log.Tree().Intent())+key, []byte(value)); err != nil {
		w.t.Fatal(err)
	}
}

// declared is all intent in one text.
func (w killFixture) declared() string {
	s, log := w.open()
	pairs, _, err := s.List(context.Background(), log.Tree().Intent(), store.Consistent)
	if err != nil {
		w.t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, "%s=%s ", p.Key, p.Value)
	}
	return b.String()
}

// agree holds the history against what is declared: every entry believed, every value that the history wrote there, and
// nothing there that is neither in the history nor the plain write that this test made.
func (w killFixture) agree(where string) {
	w.t.Helper()
	ctx := context.Background()
	_, log := w.open()
	if faults, err := log.Verify(ctx); err != nil || len(faults) > 0 {
		w.t.Errorf("%s: %v %v", where, faults, err)
	}
	s, err := log.Survey(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	head, err := log.Head(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	pending, err := log.Pending(ctx, s)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, x := range pending {
		if !strings.Contains(string(x.Value), "plain") {
			w.t.Errorf("%s: after commit %d the history does not know of %s=%s (%s)", where, head.Seq, x.Key, x.Value, x.Op)
		}
	}
}
