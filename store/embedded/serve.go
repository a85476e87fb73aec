package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// Config is what Serve serves and where.
type Config struct {
	Data    string // directory
	Listen  string // host:port or unix:PATH
	NoToken bool   // accept TCP requests without a token
	Options Options
}

const (
	requestTimeout = 30 * time.Second // to receive a complete request
	idleTimeout    = 5 * time.Minute
	maxHeader      = 16 << 10 // bytes of the request line and headers
	closeTimeout   = 3 * time.Second
	gcPercent      = 50
)

// Serve opens a store and answers on an address until ctx ends. Once it listens it calls ready, if not nil, with the
// address in the form of CONSUL_HTTP_ADDR. Over TCP each request needs the token in [TokenFile]. Unless GOGC is set,
// Serve sets the garbage collector of the whole process to 50 % growth. It returns nil when ctx ended and all data is
// safe on disk.
func Serve(ctx context.Context, config Config, ready func(addr string)) error {
	if os.Getenv("GOGC") == "" {
		// A store keeps much and allocates little: a small heap is worth more frequent collections.
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
	server, limiter := newServer(store, guard), newLimitListener(retryListener{listener})
	server.ConnState = limiter.onConnState
	served := make(chan error, 1)
	go func() { served <- server.Serve(limiter) }()
	if ready != nil {
		ready(addr)
	}
	select {
	case err = <-served:
		err = fmt.Errorf("serve %s: %w", addr, err)
	case <-ctx.Done():
	}
	// Closing the store ends the blocking queries; Shutdown would wait for them.
	err = errors.Join(err, store.Close())
	stopping, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = server.ShutdownWithContext(stopping) // requests still in progress end with the process
	return err
}
