package embedded

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// socketGroup may use the socket of a store that root, or a process in that group, serves.
const socketGroup = "platypus"

// listen opens a TCP or unix address and returns it in the form of CONSUL_HTTP_ADDR.
func listen(address string) (net.Listener, string, error) {
	path, isUnix := socketPath(address)
	if isUnix {
		l, err := listenUnix(path)
		return l, "unix://" + path, err
	}
	network := "tcp"
	if host, _, err := net.SplitHostPort(address); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
			network = "tcp4" // with "tcp" 0.0.0.0 would include IPv6
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, "", err
	}
	return l, l.Addr().String(), nil
}

func socketPath(address string) (string, bool) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	return strings.TrimPrefix(path, "//"), isUnix
}

// listenUnix creates a socket for this user and, if it exists, for the group platypus. It removes a socket file that a
// dead process left behind.
func listenUnix(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another process answers at %s: %w", path, syscall.EADDRINUSE)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	if err := makeSocketDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	mask := syscall.Umask(0o177) // no connection is possible before the socket has its final mode
	l, err := net.Listen("unix", path)
	syscall.Umask(mask)
	if err != nil {
		return nil, err
	}
	if id, ok := socketGroupID(); ok {
		err = os.Chown(path, -1, id)
		if err == nil {
			err = os.Chmod(path, 0o660)
		}
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// makeSocketDir creates the directory of a socket. Root's is world-readable, like /run.
func makeSocketDir(dir string) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755
	}
	return os.MkdirAll(dir, mode)
}

// socketGroupID returns the group of the socket if this process may set it: as root or as a member.
func socketGroupID() (int, bool) {
	g, err := user.LookupGroup(socketGroup)
	if err != nil {
		return 0, false
	}
	id, err := strconv.Atoi(g.Gid)
	return id, err == nil && (os.Geteuid() == 0 || os.Getegid() == id)
}
