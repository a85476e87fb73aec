package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// Config says what Serve serves and where.
type Config struct {
	Data    string // directory
	Listen  string // host:port or unix:PATH
	NoToken bool   // answer everybody who reaches a TCP address
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
// address in the form that CONSUL_HTTP_ADDR takes. Over TCP each request needs the token in [TokenFile]. Unless GOGC is set it has the whole process collect garbage at 50 %
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
	var guard *access
	if _, isUnix := socketPath(config.Listen); !isUnix {
		if guard, err = newAccess(config); err != nil {
			return errors.Join(fmt.Errorf("guard %s: %w", addr, err), listener.Close(), store.Close())
		}
	}
	server, crowd := newFront(store, guard), newCrowd(patient{listener})
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
