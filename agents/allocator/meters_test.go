package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestMeters: what an allocator did is on its page, beside what every agent shows.
func TestMeters(t *testing.T) {
	address := embedtest.Start(t)
	k := newKitchen(t, address, "meters/")
	k.put(k.tree.Machine("R0", "m0"), `{"cores":2,"memory":"8GB"}`)
	k.put(k.tree.VM("fits"), `{"region":"R0","cores":1,"memory":"1GB","count":2}`)
	k.put(k.tree.VM("large"), `{"region":"R0","cores":9,"memory":"1GB"}`)
	socket := filepath.Join(t.TempDir(), "page")
	cmd := process(t, address, "meters/", "a0", "--listen", "unix:"+socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended(t, cmd)
	}()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	page := ""
	for _, line := range []string{
		`platypus_allocator_steps_total{agent="allocator",verb="place"} [2-9]`, // more where a session was lost on the way
		`platypus_allocator_steps_total{agent="allocator",verb="pend"} [1-9]`,
		`platypus_allocator_transactions_total{agent="allocator",result="committed"} `,
		`platypus_allocator_instances{agent="allocator",state="placed"} 2`,
		`platypus_allocator_instances{agent="allocator",state="pending"} 1`,
		`platypus_allocator_pass_seconds_count{agent="allocator"} `,
		`platypus_store_up{agent="allocator"} 1`,
	} {
		testhost.Eventually(t, line, func() bool {
			answer, err := client.Get("http://allocator/metrics")
			if err != nil {
				return false
			}
			defer answer.Body.Close()
			data, _ := io.ReadAll(answer.Body)
			page = string(data)
			return regexp.MustCompile("(?m)^" + strings.NewReplacer("{", `\{`, "}", `\}`).Replace(line)).MatchString(page)
		})
	}
}
