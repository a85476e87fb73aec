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

// TestMetrics_PlacedAndPending_Exported checks the allocator's metrics beside those of every agent.
func TestMetrics_PlacedAndPending_Exported(t *testing.T) {
	address := embedtest.Start(t)
	h := newHarness(t, address, "meters/")
	h.put(h.tree.Machine("R0", "m0"), `{"cores":2,"memory":"8GB"}`)
	h.put(h.tree.VM("fits"), `{"region":"R0","cores":1,"memory":"1GB","count":2}`)
	h.put(h.tree.VM("large"), `{"region":"R0","cores":9,"memory":"1GB"}`)
	socket := filepath.Join(t.TempDir(), "page")
	cmd := process(t, address, "meters/", "a0", "--listen", "unix:"+socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		waitExit(t, cmd)
	}()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	page := ""
	for _, line := range []string{
		`platypus_allocator_steps_total{agent="allocator",verb="place"} [2-9]`, // more after a lost session
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
