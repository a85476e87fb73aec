package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// names is a DNS server that answers each question for a name with the next of its answers, and for ever with the last.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	asked   map[string]int
}

// serveNames serves until the test ends, at port 53 of an address of this host.
func serveNames(t *testing.T, at string, answers map[string][][]string) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", at+":53")
	if err != nil {
		t.Skip("needs port 53 of", at, err)
	}
	n := &names{answers: answers, asked: map[string]int{}}
	var ended sync.WaitGroup
	ended.Go(func() {
		buffer := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(n.answer(buffer[:size]), from)
		}
	})
	t.Cleanup(func() { conn.Close(); ended.Wait() })
	return n
}

// answer answers a question for an address; one of another kind has no answer.
func (n *names) answer(question []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, labels := 12, []string{}
	for question[at] != 0 {
		labels = append(labels, string(question[at+1:at+1+int(question[at])]))
		at += 1 + int(question[at])
	}
	name, end := strings.Join(labels, "."), at+5
	reply := append([]byte{}, question[:end]...)
	reply[2], reply[3] = 0x84, 0 // an answer, with authority
	copy(reply[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	if binary.BigEndian.Uint16(question[at+1:]) != 1 {
		return reply
	}
	addresses := n.answers[name]
	if len(addresses) == 0 {
		reply[3] = 3 // no such name
		return reply
	}
	now := addresses[min(n.asked[name], len(addresses)-1)]
	n.asked[name]++
	reply[7] = byte(len(now))
	for _, a := range now {
		ip := netip.MustParseAddr(a).As4()
		reply = append(append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), ip[:]...)
	}
	return reply
}

// TestEgress has a seed fetch from a real server by names that a real resolver looks up: only what is granted is asked,
// and only an address that may be dialled is dialled, whatever the name says and however often it changes its mind.
func TestEgress(t *testing.T) {
	t.Parallel()
	testhost.NeedRoot(t)
	testhost.NeedTools(t, "unshare", "mount")
	var reached sync.Map // by the address that was dialled
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		reached.Store(strings.Split(local, ":")[0], true)
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://forbidden.test:"+r.URL.Query().Get("port")+"/", http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%s at %s", r.Host, local)
	}))
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	resolver := serveNames(t, "127.0.7.53", map[string][][]string{
		"api.test":       {{"127.0.7.1"}},
		"both.test":      {{"10.77.0.1", "127.0.7.2"}},
		"metadata.test":  {{"169.254.169.254"}},
		"private.test":   {{"10.77.0.1"}},
		"turncoat.test":  {{"127.0.7.3"}, {"10.77.0.1"}},
		"forbidden.test": {{"127.0.7.4"}},
	})
	c := newCluster(t, embedtest.Start(t))
	c.program = withResolver(t, "127.0.7.53")
	m := c.start(1)
	granted := []string{"127.0.7.0/24"}
	for _, host := range []string{"api", "both", "metadata", "private", "turncoat"} {
		granted = append(granted, "http://"+host+".test:"+port)
	}
	c.publish(m, fixture.Go(t, "web+"), "web", map[string]any{"egress": granted})
	c.publish(m, fixture.Go(t, "web+"), "narrow", map[string]any{"egress": granted[1:]})
	c.ready("web", 1)
	c.ready("narrow", 1)
	ask := func(seed, target string) string {
		_, said := c.call(m, seed+"/fetched", "GET /?url="+url.QueryEscape(target)+" HTTP/1.1\r\nHost: x\r\n\r\n")
		return said
	}
	for _, c := range []struct{ seed, target, want string }{
		{"web", "http://api.test:" + port, "200 OK: api.test:" + port + " at 127.0.7.1:" + port},
		{"web", "http://both.test:" + port, "200 OK: both.test:" + port + " at 127.0.7.2:" + port},
		{"web", "http://turncoat.test:" + port, "200 OK: turncoat.test:" + port + " at 127.0.7.3:" + port},
		{"web", "http://turncoat.test:" + port, "turncoat.test is at 10.77.0.1, which is no public address"},
		{"web", "http://metadata.test:" + port, "metadata.test is at 169.254.169.254, which is no public address"},
		{"web", "http://private.test:" + port, "private.test is at 10.77.0.1, which is no public address"},
		{"web", "http://forbidden.test:" + port, `forbidden.test:` + port + ` is not in "egress"`},
		{"web", "http://127.0.7.1:" + port, `127.0.7.1:` + port + ` is not in "egress"`},
		{"web", "http://api.test:1", `api.test:1 is not in "egress"`},
		{"web", "http://api.test:" + port + "/away?port=" + port, `forbidden.test:` + port + ` is not in "egress"`},
		{"narrow", "http://api.test:" + port, "api.test is at 127.0.7.1, which is no public address"},
	} {
		if said := ask(c.seed, c.target); !strings.Contains(said, c.want) {
			t.Errorf("%s fetches %s: %q, want %q", c.seed, c.target, said, c.want)
		}
	}
	if _, yes := reached.Load("127.0.7.4"); yes {
		t.Error("the forbidden address was reached")
	}
	resolver.mu.Lock()
	defer resolver.mu.Unlock()
	if resolver.asked["turncoat.test"] != 2 || resolver.asked["forbidden.test"] != 0 {
		t.Errorf("names were looked up so often: %v", resolver.asked)
	}
}

// withResolver is a program that runs another in a mount namespace of its own, in which names are looked up at an address.
func withResolver(t *testing.T, at string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+at+"\noptions timeout:10 attempts:3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program := []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file}
	if said, err := exec.Command(program[0], append(program[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs a mount namespace: %v %s", err, said)
	}
	return program
}
