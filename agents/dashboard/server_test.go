package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/embedded"
)

// server is a store that can be taken away and brought back with what it held.
type server interface {
	address() string
	start()
	stop()
}

// inside is the embedded store, in this process.
type inside struct {
	t          testing.TB
	data, addr string
	end        func()
}

func embeddedServer(t testing.TB) server {
	t.Helper()
	s := &inside{t: t, data: t.TempDir(), addr: freeAddress(t)}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *inside) address() string { return s.addr }

func (s *inside) start() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, served := make(chan string, 1), make(chan error, 1)
	go func() {
		served <- embedded.Serve(ctx, embedded.Config{Data: s.data, Listen: s.addr, NoToken: true}, func(at string) { ready <- at })
	}()
	s.end = func() { cancel(); <-served }
	select {
	case <-ready:
	case err := <-served:
		s.t.Fatal(err)
	}
}

func (s *inside) stop() {
	if s.end != nil {
		s.end()
		s.end = nil
	}
}

// consul is a real one, with its data on disk.
type consul struct{ *consultest.Server }

func consulServer(t testing.TB) server {
	t.Helper()
	return consul{consultest.Start(t, consultest.Config{Data: t.TempDir()})}
}

func (c consul) address() string { return c.Addr }
func (c consul) start()          { c.Start(); c.Ready() }
func (c consul) stop()           { c.Kill() }

// servers are all kinds of store that a page must be the same on.
var servers = map[string]func(testing.TB) server{"embedded": embeddedServer, "consul": consulServer}

func freeAddress(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", testhost.FreePort(t))
}
