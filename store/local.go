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

// systemSocket is where the one-machine store of the system answers. Only root, and the user to whom root gave the
// folder, can put anything there.
const systemSocket = "/run/platypus/store/store.sock"

// LocalSocket is where the one-machine store answers when this user starts it and says nothing else: below /run for
// root, below XDG_RUNTIME_DIR or else the state directory of anybody else.
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

// foundSocket returns the socket of the one-machine store, this user's own before the system's; "" when there is none
// that this user may trust.
func foundSocket() string {
	for _, path := range []string{LocalSocket(), systemSocket} {
		if trusted(path) {
			return path
		}
	}
	return ""
}

// trusted reports whether a socket is there that nobody but root and this user can have put there: it belongs to one of
// them, or to the user to whom root gave its folder.
func trusted(path string) bool {
	at, err := os.Lstat(path)
	if err != nil || at.Mode().Type() != os.ModeSocket {
		return false
	}
	owner := ownerOf(at)
	if owner == 0 || owner == os.Geteuid() {
		return true
	}
	dir, err := os.Lstat(filepath.Dir(path))
	above, err2 := os.Lstat(filepath.Dir(filepath.Dir(path)))
	return err == nil && err2 == nil && dir.IsDir() && dir.Mode()&0o022 == 0 && owner == ownerOf(dir) &&
		ownerOf(above) == 0 && above.Mode()&0o022 == 0
}

func ownerOf(at os.FileInfo) int {
	if s, ok := at.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// unsaid reports whether neither config nor the environment says where the store is.
func (s *Store) unsaid() bool {
	return s.config.Address == "" && os.Getenv(api.HTTPAddrEnvName) == "" && os.Getenv(api.HTTPSSLEnvName) == ""
}

// findLocal has a client to whom nobody said where the store is connect to the socket of the one-machine store whenever
// there is one, and to Consul's default address otherwise. It looks at each connection: the store may start later.
func (s *Store) findLocal(c *api.Config) {
	if !s.unsaid() {
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

// dialTimeout is that of Consul's own client.
const dialTimeout = 30 * time.Second
