package consultest

import (
	"fmt"
	"net"
	"runtime"
	"testing"
)

func TestPortsAreTheTestsOwnUntilItEnds(t *testing.T) {
	var given []int
	t.Run("given", func(t *testing.T) {
		given = FreePorts(t, 50)
		seen := map[int]bool{}
		for _, port := range given {
			if seen[port] {
				t.Errorf("%d is given twice", port)
			}
			seen[port] = true
			if _, ok := reserve(port); ok && runtime.GOOS == "linux" {
				t.Errorf("%d is given to another, too", port)
			}
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Errorf("%d is not free: %v", port, err)
				continue
			}
			_ = l.Close()
		}
	})
	if release, ok := reserve(given[0]); ok {
		release()
	} else {
		t.Errorf("%d is not given back", given[0])
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, ok := reserve(l.Addr().(*net.TCPAddr).Port); ok {
		t.Error("a port that somebody listens on is given")
	}
}
