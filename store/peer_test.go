package store

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"
)

// init runs this program as the listener of another user where a test asks for one.
func init() {
	if os.Getenv("STORE_TEST_LISTENER") != "" {
		listenAsOther()
	}
}

// listenAsOther answers every request like a store, prints its address, and each request it gets.
func listenAsOther() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(l.Addr().String() + "\n")
	panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		os.Stdout.WriteString("got " + r.URL.Path + " token " + r.Header.Get("X-Consul-Token") + "\n")
		w.Header().Set("X-Consul-Index", "1")
		w.Write([]byte("[]"))
	})))
}

// startListener starts listenAsOther as a user and returns its address and the lines of what it got.
func startListener(t *testing.T, uid uint32) (address string, got <-chan string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("becomes another user, which needs root")
	}
	exe, err := os.Open("/proc/self/exe") // its folder is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles, cmd.Env, cmd.Dir = []*os.File{exe}, append(os.Environ(), "STORE_TEST_LISTENER=1"), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the listener says nothing")
	}
	address, requests := lines.Text(), make(chan string, 100)
	go func() {
		for lines.Scan() {
			requests <- lines.Text()
		}
	}()
	return address, requests
}

// unasked has the client find the store by itself, with address in the place of Consul's default, on a host that never
// had a one-machine store.
func unasked(t *testing.T, address string) *Store {
	t.Helper()
	t.Setenv(api.HTTPAddrEnvName, "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	places, socket := storePlaces, systemSocket
	storePlaces, systemSocket = nil, t.TempDir()+"/store.sock"
	t.Cleanup(func() { storePlaces, systemSocket = places, socket; socketUsed.Store(false) })
	s, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := s.clientConfig()
	c.Address = address
	s.dialLocalSocket(c)
	client, err := api.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	s.client.Store(client)
	return s
}

func TestFindLocal_DefaultAddressOfAnotherUser_RefusedByRoot(t *testing.T) {
	const nobody = 65534
	for _, c := range []struct {
		uid    uint32
		refuse bool
	}{{0, false}, {nobody, true}} {
		address, got := startListener(t, c.uid)
		s := unasked(t, address)
		_, _, err := s.Get(t.Context(), "k", Default)
		if !c.refuse {
			if err != nil {
				t.Errorf("root's listener: %v", err)
			}
			continue
		}
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "uid 65534 listens at "+address) ||
			!strings.Contains(err.Error(), "set CONSUL_HTTP_ADDR") {
			t.Errorf("nobody's listener: %v", err)
		}
		if err := s.Put(t.Context(), "k", []byte("v")); errors.Is(err, ErrUnknown) || !errors.Is(err, ErrUnreachable) {
			t.Errorf("put: %v", err)
		}
		if len(got) > 0 {
			t.Errorf("it was sent %s", <-got)
		}
	}
}

func TestFindLocal_SocketGoneOrExpected_DefaultAddressNotUsed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed := make(chan bool, 10)
	go http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { dialed <- true }))
	refused := func(s *Store, when string) {
		t.Helper()
		_, _, err := s.Get(t.Context(), "k", Default)
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "the store's socket is not there") || len(dialed) > 0 {
			t.Errorf("%s: %v, dialed %d times", when, err, len(dialed))
		}
		if !strings.HasPrefix(s.Address(), "unix://") {
			t.Errorf("%s: it is said to be at %s", when, s.Address())
		}
	}

	s := unasked(t, l.Addr().String())
	storePlaces = []string{t.TempDir()}
	refused(s, "the store's folder exists")

	storePlaces = nil
	u, err := net.Listen("unix", LocalSocket())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Consul-Index", "1")
		w.Write([]byte("[]"))
	})}
	go server.Serve(u)
	if _, _, err := s.Get(t.Context(), "k", Default); err != nil {
		t.Fatal(err)
	}
	server.Close() // which removes the socket
	refused(s, "the socket was used and is gone")
}

func TestToken_LoopbackListenerOfAnotherUser_NotSent(t *testing.T) {
	const nobody = 65534
	for _, uid := range []uint32{0, nobody} {
		address, got := startListener(t, uid)
		for _, c := range []struct {
			config Config
			refuse bool
		}{
			{Config{Address: address}, false},
			{Config{Address: address, Token: "secret"}, uid == nobody},
			{Config{Address: "http://" + address + "/prefix", Token: "secret"}, uid == nobody},
		} {
			s, err := Open(c.config)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = s.Get(t.Context(), "k", Default)
			if !c.refuse {
				if err != nil || !strings.HasSuffix(<-got, "token "+c.config.Token) {
					t.Errorf("uid %d, %v: %v", uid, c.config, err)
				}
				continue
			}
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "uid 65534 listens at") || len(got) > 0 {
				t.Errorf("uid %d, %v: %v, and %d requests were sent", uid, c.config, err, len(got))
			}
		}
	}
}

// TestPeerUIDs_ListenersOfEachFamily_Found compares with what this process knows of its own sockets.
func TestPeerUIDs_ListenersOfEachFamily_Found(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("%s: %v", address, err)
			continue
		}
		defer l.Close()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		local, _ := addrPort(conn.LocalAddr())
		remote, _ := addrPort(conn.RemoteAddr())
		if uids, err := peerUIDs(local, remote); err != nil || len(uids) != 1 || uids[0] != os.Geteuid() {
			t.Errorf("%s: %v, %v", address, uids, err)
		}
		theirs, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		l.Close()
		if uids, err := peerUIDs(local, remote); err != nil || len(uids) != 1 || uids[0] != os.Geteuid() {
			t.Errorf("%s, no longer listening: %v, %v", address, uids, err)
		}
	}
}
