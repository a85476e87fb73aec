package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestSlowClients_LeaveRoomForOthers: one address that opens more connections than the worker has files, and stops in the
// middle of a body in each, takes nothing from others, and is cut off.
func TestSlowClients_LeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("needs prlimit")
	}
	c := newCluster(t, embedtest.Start(t))
	c.program = []string{"prlimit", "--nofile=300:300"}
	m := c.start(1)
	c.publish(m, fixture.Tiny(), "good", nil)
	c.ready("good", 1)
	var first net.Conn
	for i := range 320 {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).Dial("tcp", m.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /call/good/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nx", 16<<20)
		if i == 0 {
			first = conn
		}
	}
	if status, said := c.call(m, "good/", ""); status != http.StatusOK {
		t.Errorf("another client: %d %s", status, said)
	}
	_ = first.SetReadDeadline(time.Now().Add(hang))
	response, err := http.ReadResponse(bufio.NewReader(first), nil)
	if err != nil {
		t.Fatalf("a client that stopped in the middle: %v", err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusRequestTimeout || !response.Close {
		t.Errorf("a client that stopped in the middle: %s, %v", response.Status, err)
	}
}
