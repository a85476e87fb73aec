package store

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// checkPeer refuses a TCP connection to this host unless the program at its other end runs as root, as one of the named
// users, or, where self is set, as the user of this process: any user may listen at a free port. It must be called
// before anything is sent. Other hosts, and what root forwards to them, are not checked.
func checkPeer(conn net.Conn, self bool, names ...string) error {
	remote, ok := addrPort(conn.RemoteAddr())
	local, ok2 := addrPort(conn.LocalAddr())
	if !ok || !ok2 || !remote.Addr().IsLoopback() && remote.Addr() != local.Addr() {
		return nil
	}
	allowed := []int{0}
	if self {
		allowed = append(allowed, os.Geteuid())
	}
	for _, name := range names {
		if u, err := user.Lookup(name); err == nil {
			if uid, err := strconv.Atoi(u.Uid); err == nil {
				allowed = append(allowed, uid)
			}
		}
	}
	uids, err := peerUIDs(local, remote)
	if err != nil {
		return fmt.Errorf("cannot look up who listens at %s: %w", remote, err)
	}
	for _, uid := range uids {
		if !slices.Contains(allowed, uid) {
			return &peerError{address: remote.String(), uid: uid}
		}
	}
	return nil
}

// peerError says that a user listens who must not be taken for the store.
type peerError struct {
	address string
	uid     int
}

func (e *peerError) Error() string {
	return fmt.Sprintf("uid %d listens at %s, not root or a user of the store", e.uid, e.address)
}

// peerUIDs returns the users who own the sockets that listen at remote, or, where none does, the user who owns the
// other end of the connection; nobody when the other end is not on this host. The kernel prefers an exact address to a
// wildcard, and a wildcard of its own family to one of both.
func peerUIDs(local, remote netip.AddrPort) ([]int, error) {
	var listening [3][]int
	var connected []int
	tables := 0
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) && tables > 0 {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		defer file.Close()
		tables++
		for lines := bufio.NewScanner(file); lines.Scan(); {
			s, ok := parseSocket(lines.Text())
			switch rank := s.rank(remote); {
			case !ok:
			case s.listens && rank >= 0:
				listening[rank] = append(listening[rank], s.uid)
			case !s.listens && s.local == remote && s.remote == local:
				connected = append(connected, s.uid)
			}
		}
	}
	for _, uids := range listening {
		if len(uids) > 0 {
			return uids, nil
		}
	}
	return connected, nil
}

// socket is a line of /proc/net/tcp.
type socket struct {
	local, remote netip.AddrPort
	listens       bool
	uid           int
}

// rank says how exactly the socket's address is that of remote: 0 is best, -1 not at all.
func (s socket) rank(remote netip.AddrPort) int {
	switch addr := s.local.Addr(); {
	case s.local.Port() != remote.Port():
		return -1
	case addr == remote.Addr():
		return 0
	case addr.IsUnspecified() && addr.Is4() == remote.Addr().Is4():
		return 1
	case addr.IsUnspecified() && remote.Addr().Is4():
		return 2
	}
	return -1
}

// parseSocket reads "sl local_address rem_address st tx:rx tr:when retrnsmt uid …".
func parseSocket(line string) (s socket, ok bool) {
	const listen = "0A"
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return s, false
	}
	local, ok1 := parseAddrPort(fields[1])
	remote, ok2 := parseAddrPort(fields[2])
	uid, err := strconv.Atoi(fields[7])
	return socket{local: local, remote: remote, listens: fields[3] == listen, uid: uid}, ok1 && ok2 && err == nil
}

// parseAddrPort reads the kernel's notation: words of 32 bits in the order of the host, and a port.
func parseAddrPort(text string) (netip.AddrPort, bool) {
	addr, port, _ := strings.Cut(text, ":")
	bytes, err := hex.DecodeString(addr)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(bytes)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(bytes); i += 4 {
		binary.NativeEndian.PutUint32(bytes[i:], binary.BigEndian.Uint32(bytes[i:]))
	}
	ip, ok := netip.AddrFromSlice(bytes)
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), ok
}

func addrPort(a net.Addr) (netip.AddrPort, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	p := tcp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port()), true
}
