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

// group is whose members may use the socket of a store that root or the user of that name serves.
const group = "platypus"

// listen opens a TCP or unix address, and returns it in the form that CONSUL_HTTP_ADDR takes.
func listen(address string) (net.Listener, string, error) {
	path, isUnix := socketPath(address)
	if isUnix {
		l, err := listenUnix(path)
		return l, "unix://" + path, err
	}
	network := "tcp"
	if host, _, err := net.SplitHostPort(address); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
			network = "tcp4" // 0.0.0.0 would be all of IPv6 too
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

// listenUnix makes a socket for this user and, where there is such a group, for the group platypus. A socket file that
// nobody answers on is left from a process that died.
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
	mask := syscall.Umask(0o177) // nobody may connect before the socket has its mode
	l, err := net.Listen("unix", path)
	syscall.Umask(mask)
	if err != nil {
		return nil, err
	}
	if id, ok := groupID(); ok {
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

// makeSocketDir makes the folder of a socket where it is missing: open to look into for root's, as /run is.
func makeSocketDir(dir string) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755
	}
	return os.MkdirAll(dir, mode)
}

// groupID is the group to give a socket to: by root, or by who runs in that group.
func groupID() (int, bool) {
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, false
	}
	id, err := strconv.Atoi(g.Gid)
	return id, err == nil && (os.Geteuid() == 0 || os.Getegid() == id)
}
