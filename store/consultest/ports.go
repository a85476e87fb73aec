package consultest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
)

// Ports that tests are given lie below those that the system gives to whoever asks for any: a port from among these may
// go to a stranger between two lives of the server that it was picked for, and who keeps asking at such a port while
// nobody listens there may in the end connect to himself.
const (
	firstPort = 10000
	lastPort  = 32767 // the system's begin after it, unless somebody set that
)

// FreePorts returns ports that are the test's own until it ends: nobody listens on them at any address, and no other test
// is given them meanwhile, in whichever process it runs.
func FreePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	last := lastPort
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		first := 0
		if _, err := fmt.Sscan(string(text), &first); err == nil && first > firstPort+1000 {
			last = first - 1
		}
	}
	for range 10000 {
		if len(ports) == n {
			return ports
		}
		port := firstPort + rand.N(last-firstPort+1)
		if release, ok := reserve(port); ok {
			t.Cleanup(release)
			ports = append(ports, port)
		}
	}
	t.Fatalf("no %d free ports from %d to %d", n, firstPort, last)
	return nil
}

// reserve takes a port from among those that tests share. What says that it is taken is a name that has the life of a
// process and the reach of a network, as ports have; where there are no such names it goes without.
func reserve(port int) (release func(), ok bool) {
	release = func() {}
	if runtime.GOOS == "linux" {
		name, err := net.Listen("unix", fmt.Sprintf("@platypus-test-port-%d", port))
		if err != nil {
			return nil, false
		}
		release = func() { _ = name.Close() }
	}
	address := fmt.Sprintf(":%d", port)
	tcp, err := net.Listen("tcp", address)
	if err == nil {
		_ = tcp.Close()
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", address); err == nil {
			_ = udp.Close()
		}
	}
	if err != nil {
		release()
		return nil, false
	}
	return release, true
}
