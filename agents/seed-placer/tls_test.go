package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/agents/seed-placer/seal"
	"github.com/platypus-platform/platypus/store/certtest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// sealed starts a node with --serve-tls at 127.0.0.<i>, with a certificate that is valid for life.
func (c *cluster) sealed(a *certtest.Authority, i int, life time.Duration, args ...string) (m *member, at string) {
	c.Helper()
	name, host := fmt.Sprintf("n%d", i), fmt.Sprintf("127.0.0.%d", i)
	at = fmt.Sprintf("%s:%d", host, testhost.FreePort(c))
	args = append(append(a.Flags(name, host, life), "--serve-tls", at, "--label", "only="+name), args...)
	return c.start(i, args...), seal.TLSScheme + at
}

// asks makes a request with a TLS configuration, on its own connection.
func asks(config *tls.Config, target string) (*http.Response, string, error) {
	client := &http.Client{Timeout: hang, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	return send(client, http.MethodPost, target, "", "you")
}

// TestTLS_NodesWithCertificates: nodes with certificates of one authority exchange modules and calls, and everybody
// else is rejected.
func TestTLS_NodesWithCertificates(t *testing.T) {
	t.Parallel()
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			c, a, stranger := newCluster(t, start(t)), certtest.New(t), certtest.New(t)
			at := map[string]string{}
			for i := 1; i <= 3; i++ {
				m, address := c.sealed(a, i, time.Hour)
				at[m.name] = address
			}
			c.joined()
			c.publish(c.nodes["n1"], fixture.Go(t, "reactor+"), "r", map[string]any{"min_replicas": 2, "calls": []string{"hello"}})
			c.publish(c.nodes["n1"], fixture.Go(t, "hello"), "hello", map[string]any{"min_replicas": 1, "labels": map[string]string{"only": "n3"}})
			c.publish(c.nodes["n1"], fixture.Go(t, "reactor+"), "trusted", map[string]any{"min_replicas": 1, "trusted": true, "labels": map[string]string{"only": "n2"}})
			c.ready("r", 2)
			c.ready("hello", 1)
			c.ready("trusted", 1)
			for _, seed := range []string{"r", "hello", "trusted"} {
				for node, r := range c.replicas(seed) {
					if !strings.HasPrefix(r.Address, strings.TrimRight(at[node], "0123456789")) {
						t.Errorf("%s is said to be at %s on %s", seed, r.Address, node)
					}
				}
			}
			for _, m := range c.nodes { // from each node to each seed: two of them are on other nodes
				c.answers(m, "hello/", "you", "hello, you")
				c.answers(m, "trusted/upper", "you", "YOU")
			}
			c.answers(c.nodes["n1"], "r/relay", "pln://seed/hello/ you", "relayed hello, you") // a seed calls one on another node
			refusedWithout(t, a, stranger, at["n3"], c.replicas("trusted")["n2"].Address)
		})
	}
}

// refusedWithout tries to connect with every kind of invalid certificate.
func refusedWithout(t *testing.T, a, stranger *certtest.Authority, addresses ...string) {
	t.Helper()
	a.Issue("me", "", time.Hour)
	a.Issue("expired", "", -time.Minute)
	stranger.Issue("me", "", time.Hour)
	foreign := stranger.Client("me")
	foreign.RootCAs = a.Client("").RootCAs
	old := a.Client("me")
	old.MaxVersion = tls.VersionTLS12
	for _, address := range addresses {
		if response, said, err := asks(a.Client("me"), address+"/call/nobody/x"); err != nil || response.StatusCode != 404 {
			t.Errorf("%s with a certificate: %v %s", address, err, said)
		}
		if response, said, err := asks(nil, "http://"+strings.TrimPrefix(address, seal.TLSScheme)+"/call/hello/"); err == nil && response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s in plain: %s %s", address, response.Status, said)
		}
		for who, config := range map[string]*tls.Config{"nobody": a.Client(""), "a stranger": foreign, "one that expired": a.Client("expired"), "one of TLS 1.2": old} {
			if response, said, err := asks(config, address+"/call/hello/"); err == nil {
				t.Errorf("%s answers %s: %s %s", address, who, response.Status, said)
			}
		}
	}
}

// TestTLS_CertificateRenewal renews the certificates of every node, then their authority, during calls between nodes:
// no call fails, and clients of the previous authority are rejected, even on an existing connection.
func TestTLS_CertificateRenewal(t *testing.T) {
	t.Parallel()
	c, a := newCluster(t, embedtest.Start(t)), certtest.New(t)
	n1, at := c.sealed(a, 1, time.Hour)
	n2, at2 := c.sealed(a, 2, time.Hour)
	c.publish(n1, fixture.Go(t, "hello"), "hello", map[string]any{"labels": map[string]string{"only": "n2"}})
	c.ready("hello", 1)
	c.answers(n1, "hello/", "you", "hello, you")
	a.Issue("me", "", time.Hour)
	kept := &http.Client{Timeout: hang, Transport: &http.Transport{TLSClientConfig: a.Client("me")}}
	stays := func() error { // on one connection, while the other side keeps it open
		_, _, err := send(kept, http.MethodPost, at+"/call/nobody/x", "", "")
		return err
	}
	if err := stays(); err != nil {
		t.Fatal(err)
	}
	var good atomic.Int64
	stop, bad := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(bad)
		for {
			if status, said := c.call(n1, "hello/", "you"); status != 200 {
				bad <- fmt.Sprint(status, " ", said)
				return
			}
			good.Add(1)
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	taken := func(what string, by func(m *member, address string) bool) { // by the workers of both, and then some more calls
		t.Helper()
		for m, address := range map[*member]string{n1: at, n2: at2} {
			c.until(m.name+" takes up "+what, func() bool { return by(m, address) })
		}
		for most, begin := good.Load()+50, time.Now(); good.Load() < most && time.Since(begin) < hang && len(bad) == 0; time.Sleep(10 * time.Millisecond) {
		}
	}
	shows := func(m *member, address string) bool {
		file, _ := a.Files(m.name)
		return bytes.Equal(shown(a.Client("me"), address), certificate(t, file))
	}
	for i, m := range []*member{n1, n2} {
		a.Issue(m.name, fmt.Sprintf("127.0.0.%d", i+1), time.Hour)
	}
	_ = n1.cmd.Process.Signal(syscall.SIGHUP)
	taken("a new certificate", shows)
	next := certtest.New(t)
	next.Issue("me", "", time.Hour)
	old, _ := os.ReadFile(a.CA())
	fresh, err := os.ReadFile(next.CA())
	if err != nil {
		t.Fatal(err)
	}
	replace := func(path string, content []byte) {
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	replace(a.CA(), append(old, fresh...)) // first both authorities are trusted, then all certificates are new, then one is trusted
	taken("the new authority", func(_ *member, address string) bool { return accepts(next.Client("me"), a, address) })
	for i, m := range []*member{n1, n2} {
		next.Issue(m.name, fmt.Sprintf("127.0.0.%d", i+1), time.Hour)
		for _, kind := range []string{".crt", ".key"} {
			content, err := os.ReadFile(filepath.Join(next.Dir, m.name+kind))
			if err != nil {
				t.Fatal(err)
			}
			replace(filepath.Join(a.Dir, m.name+kind), content)
		}
	}
	taken("a certificate of the new authority", shows)
	replace(a.CA(), fresh)
	taken("the end of the old authority", func(_ *member, address string) bool { return !accepts(a.Client("me"), next, address) })
	close(stop)
	if said, failed := <-bad; failed {
		t.Errorf("a call failed: %s", said)
	}
	kept.Transport.(*http.Transport).TLSClientConfig.RootCAs = next.Client("").RootCAs
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // the last response announces the end of the connection
		if stays() != nil {
			break
		}
		if time.Since(begin) > hang {
			t.Fatal("whom only the old authority vouches for is still answered")
		}
	}
	if said := n1.log.String(); strings.Contains(said, "does not accept") {
		t.Error("a node was not accepted meanwhile")
	}
}

// shown returns the certificate that a node presents to a client, or nil.
func shown(client *tls.Config, address string) []byte {
	client.InsecureSkipVerify = true
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: hang}, "tcp", strings.TrimPrefix(address, seal.TLSScheme), client)
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Raw
}

// certificate returns the certificate in a file.
func certificate(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return block.Bytes
}

// accepts reports whether a node with a certificate of authority answers a client.
func accepts(client *tls.Config, authority *certtest.Authority, address string) bool {
	client.RootCAs = authority.Client("").RootCAs
	_, _, err := asks(client, address+"/call/nobody/x")
	return err == nil
}

// TestTLS_Errors_NameTheCertificate: nodes that cannot connect say whose certificate is at fault, in the answer to a
// call, in the log, and in the report of a failed fetch.
func TestTLS_Errors_NameTheCertificate(t *testing.T) {
	t.Parallel()
	for what, other := range map[string]struct {
		start func(c *cluster, a *certtest.Authority) *member // n2
		ours  string                                          // error of n1 about n2
		blob  string                                          // error of n2 about n1, from which it fetches a module
	}{
		"plain": {func(c *cluster, _ *certtest.Authority) *member { return c.start(2, "--label", "only=n2") },
			"n2 at 127.0.0.2:%d speaks plain, and this node (--tls-cert n1.crt) only TLS", "n1 at https://127.0.0.1:%d answers only who has a certificate: start this node with --tls-cert"},
		"another authority": {func(c *cluster, _ *certtest.Authority) *member {
			m, _ := c.sealed(certtest.New(c), 2, time.Hour)
			return m
		}, "n2 at https://127.0.0.2:%d shows a certificate that --tls-ca ca.crt does not vouch for", "n1 at https://127.0.0.1:%d shows a certificate that --tls-ca ca.crt does not vouch for"},
		"expired": {func(c *cluster, a *certtest.Authority) *member {
			m, _ := c.sealed(a, 2, -time.Minute)
			return m
		}, "n2 at https://127.0.0.2:%d shows a certificate that expired on", "n1 at https://127.0.0.1:%d does not accept this node: --tls-cert n2.crt expired on"},
	} {
		t.Run(what, func(t *testing.T) {
			c, a := newCluster(t, embedtest.Start(t)), certtest.New(t)
			n1, _ := c.sealed(a, 1, time.Hour)
			n2 := other.start(c, a)
			c.publish(n2, fixture.Go(t, "hello"), "hello", map[string]any{"labels": map[string]string{"only": "n2"}})
			c.ready("hello", 1)
			c.eventuallyLike(n1, "hello/", other.ours)
			c.publish(n1, fixture.C(t, "creactor/reactor.c"), "far", map[string]any{"labels": map[string]string{"only": "n2"}})
			for begin := time.Now(); !like(n2.log.String(), other.blob); time.Sleep(50 * time.Millisecond) {
				if time.Since(begin) > hang {
					t.Fatalf("n2 does not say %q", other.blob)
				}
			}
			c.until("the log of n1 says so, too", func() bool { return like(n1.log.String(), other.ours) })
		})
	}
}

// eventuallyLike waits until a call at a node fails with an error like want.
func (c *cluster) eventuallyLike(m *member, path, want string) {
	c.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		status, said := c.call(m, path, "you")
		if status == http.StatusServiceUnavailable && like(said, want) {
			return
		}
		if time.Since(begin) > hang {
			c.Fatalf("%s at %s: %d %s, want %q", path, m.name, status, said, want)
		}
	}
}

// like reports whether a text contains words, regardless of the ports and directories in them.
func like(text, words string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(words), "%d", "[0-9]+")
	return regexp.MustCompile(regexp.MustCompile(`(n[12]|ca)\\.crt`).ReplaceAllString(pattern, `[^ ]*/$0`)).MatchString(text)
}

// TestTLS_KeyStaysInAgent searches the memory of agent and worker for the node's private key.
func TestTLS_KeyStaysInAgent(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to read the memory of others")
	}
	c, a := newCluster(t, embedtest.Start(t)), certtest.New(t)
	n1, at := c.sealed(a, 1, time.Hour)
	c.publish(n1, fixture.Go(t, "hello"), "hello", nil)
	c.ready("hello", 1)
	a.Issue("me", "", time.Hour)
	for range 5 { // so that the worker has done handshakes
		if _, said, err := asks(a.Client("me"), at+"/call/hello/"); err != nil || said != "hello, you" {
			t.Fatal(said, err)
		}
	}
	secret := a.Secret("n1")
	if !holds(t, n1.cmd.Process.Pid, secret) {
		t.Error("the search finds nothing even in the agent")
	}
	for _, worker := range workersOf(t, n1.cmd.Process.Pid) {
		if holds(t, worker, secret) {
			t.Error("the key is in the memory of a worker")
		}
	}
}

// workersOf returns the child processes of an agent; there is at least one.
func workersOf(t testing.TB, agent int) (pids []int) {
	t.Helper()
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", agent))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(data)) {
			var pid int
			if _, err := fmt.Sscan(field, &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	if len(pids) == 0 {
		t.Fatal("the agent has no worker")
	}
	return pids
}

// holds reports whether the writable memory of a process contains a number in either byte order.
func holds(t testing.TB, pid int, number []byte) bool {
	t.Helper()
	reversed := slices.Clone(number)
	slices.Reverse(reversed)
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	chunk, found := make([]byte, 4<<20), false
	for _, line := range strings.Split(string(maps), "\n") {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n != 3 || !strings.HasPrefix(mode, "rw") || to-from > 1<<30 {
			continue
		}
		for at := from; at < to; at += int64(len(chunk) - len(number)) {
			n, _ := memory.ReadAt(chunk[:min(int64(len(chunk)), to-at)], at)
			found = found || bytes.Contains(chunk[:n], number) || bytes.Contains(chunk[:n], reversed)
		}
	}
	return found
}
