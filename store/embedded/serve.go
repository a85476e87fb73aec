package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// Config says what Serve serves and where.
type Config struct {
	Data    string // directory
	Listen  string // host:port or unix:PATH
	Options Options
}

const (
	requestTimeout = 30 * time.Second // for a request to arrive whole
	idleTimeout    = 5 * time.Minute
	maxHeader      = 16 << 10 // bytes of a request's line and headers
	closeTimeout   = 3 * time.Second
	gcPercent      = 50
)

// Serve opens a store and answers on an address until ctx ends. It calls ready, if given, once it answers, with the
// address in the form that CONSUL_HTTP_ADDR takes. Unless GOGC is set it has the whole process collect garbage at 50 %
// growth. It returns nil when ctx ended and everything is safe on disk.
func Serve(ctx context.Context, config Config, ready func(addr string)) error {
	if os.Getenv("GOGC") == "" {
		// A process that serves a store keeps much and makes little: it had rather be small.
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	store, err := Open(config.Data, config.Options)
	if err != nil {
		return err
	}
	listener, addr, err := listen(config.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen on %s: %w", config.Listen, err), store.Close())
	}
	server, crowd := newFront(store), newCrowd(patient{listener})
	server.ConnState = crowd.state
	served := make(chan error, 1)
	go func() { served <- server.Serve(crowd) }()
	if ready != nil {
		ready(addr)
	}
	select {
	case err = <-served:
		err = fmt.Errorf("serve %s: %w", addr, err)
	case <-ctx.Done():
	}
	// Closing the store ends the blocking queries, which Shutdown would otherwise wait for.
	err = errors.Join(err, store.Close())
	stopping, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = server.ShutdownWithContext(stopping) // what still waits after that ends with the process
	return err
}

// listen opens a TCP or unix address. A socket file that nobody answers on is left from a process that died.
func listen(address string) (net.Listener, string, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, "", err
		}
		return l, l.Addr().String(), nil
	}
	path = strings.TrimPrefix(path, "//")
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, "", errors.New("another process answers there")
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, "", err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, "", err
	}
	return l, "unix://" + path, nil
}
