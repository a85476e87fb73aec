package store

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
)

// systemSocket is the socket of the system's one-machine store. Only root, and the user to whom root gave the
// directory, can create it.
const systemSocket = "/run/platypus/store/store.sock"

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

// dialLocalSocket makes a client without a configured address connect to the socket of the one-machine store if it
// exists, otherwise to Consul's default address. It checks at each connection, because that store may start later.
func (s *Store) dialLocalSocket(c *api.Config) {
	if !s.usesDefaultAddress() {
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}
	c.Transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if path := foundSocket(); path != "" {
			return dialer.DialContext(ctx, "unix", path)
		}
		return dialer.DialContext(ctx, network, address)
	}
}

// dialTimeout is the same as in Consul's client.
const dialTimeout = 30 * time.Second
