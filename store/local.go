package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
)

// systemSocket is where the one-machine store of the system answers. Only root, and the user to whom root gave the
// folder, can put anything there. Tests change it.
var systemSocket = "/run/platypus/store/store.sock"

// LocalSocket is the default socket of a one-machine store that this user starts: below /run for root, otherwise below
// XDG_RUNTIME_DIR or the state directory.
func LocalSocket() string {
	if os.Geteuid() == 0 {
		return systemSocket
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "platypus", "store.sock")
	}
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return systemSocket
		}
		dir = filepath.Join(home, ".local/state")
	}
	return filepath.Join(dir, "platypus", "store.sock")
}

// foundSocket returns the socket of the one-machine store, this user's own before the system's; "" if no trusted one
// exists.
func foundSocket() string {
	for _, path := range []string{LocalSocket(), systemSocket} {
		if isTrustedSocket(path) {
			return path
		}
	}
	return ""
}

// isTrustedSocket reports whether path is a socket that only root or this user can have created: it belongs to one of
// them, or to the user to whom root gave its directory.
func isTrustedSocket(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	owner := ownerOf(info)
	if owner == 0 || owner == os.Geteuid() {
		return true
	}
	dir, err := os.Lstat(filepath.Dir(path))
	parent, err2 := os.Lstat(filepath.Dir(filepath.Dir(path)))
	return err == nil && err2 == nil && dir.IsDir() && dir.Mode()&0o022 == 0 && owner == ownerOf(dir) &&
		ownerOf(parent) == 0 && parent.Mode()&0o022 == 0
}

func ownerOf(info os.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// usesDefaultAddress reports whether neither config nor the environment sets an address.
func (s *Store) usesDefaultAddress() bool {
	return s.config.Address == "" && os.Getenv(api.HTTPAddrEnvName) == "" && os.Getenv(api.HTTPSSLEnvName) == ""
}

// storePlaces exist where the system has, or had, a one-machine store: the folder of its socket and its data.
var storePlaces = []string{filepath.Dir(systemSocket), "/var/lib/platypus/store"}

// socketUsed is set once this process has connected to the socket of the one-machine store.
var socketUsed atomic.Bool

// dialLocalSocket has a client to whom nobody said where the store is connect to the socket of the one-machine store whenever
// there is one. It looks at each connection: the store may start later. Consul's default address, at which any local
// user may listen, is used only where this host has never had a one-machine store; root takes it from root and Consul
// alone.
func (s *Store) dialLocalSocket(c *api.Config) {
	if !s.usesDefaultAddress() {
		protectToken(c)
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}
	withToken := hasToken(c)
	c.Transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if path := foundSocket(); path != "" {
			conn, err := dialer.DialContext(ctx, "unix", path)
			if err == nil {
				socketUsed.Store(true)
			}
			return conn, err
		}
		if socketExpected() {
			return nil, dialError(address, fmt.Errorf("the store's socket is not there (%s): start the store, or set %s",
				LocalSocket(), api.HTTPAddrEnvName))
		}
		conn, err := dialer.DialContext(ctx, network, address)
		switch {
		case err != nil:
			return nil, err
		case os.Geteuid() == 0:
			err = checkPeer(conn, false, "consul")
		case withToken:
			err = checkPeer(conn, true, "consul", "platypus")
		}
		if err != nil {
			conn.Close()
			return nil, dialError(address, fmt.Errorf("%w: set %s to use it", err, api.HTTPAddrEnvName))
		}
		return conn, nil
	}
}

// protectToken has a client send its token to a loopback address in the clear only when root, this user or a user of
// the store listens there: while the store is down, any local user may.
func protectToken(c *api.Config) {
	store := strings.ToLower(c.Address)
	verified := (c.Scheme == "https" || strings.HasPrefix(store, "https://")) && !c.TLSConfig.InsecureSkipVerify
	if !hasToken(c) || verified {
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}
	c.Transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		host, _, _ := net.SplitHostPort(address)
		if err != nil || !strings.Contains(store, host) { // address may be that of a proxy
			return conn, err
		}
		if err := checkPeer(conn, true, "consul", "platypus"); err != nil {
			conn.Close()
			return nil, dialError(address, fmt.Errorf("%w: the token is not sent; use https or the store's socket", err))
		}
		return conn, nil
	}
}

func hasToken(c *api.Config) bool { return c.Token != "" || c.TokenFile != "" || c.HttpAuth != nil }

// socketExpected reports whether the socket is where this process must find the store, be it there now or not.
func socketExpected() bool {
	return socketUsed.Load() || slices.ContainsFunc(storePlaces, func(path string) bool {
		_, err := os.Lstat(path)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// dialError is an error by which nothing was sent.
func dialError(address string, err error) error {
	return fmt.Errorf("%s: %w", address, &net.OpError{Op: "dial", Net: "tcp", Err: err})
}

// dialTimeout is that of Consul's own client.
const dialTimeout = 30 * time.Second
