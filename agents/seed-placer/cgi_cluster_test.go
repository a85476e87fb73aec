package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestCGIOverflow_KeepsTheRequest: requests to a command that go to another node for want of room arrive there whole.
func TestCGIOverflow_KeepsTheRequest(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	n1, n2 := c.start(1), c.start(2)
	c.joined()
	c.publish(n1, fixture.Go(t, "page"), "page", map[string]any{"min_replicas": 2, "concurrency": 1, "timeout": "1m"})
	c.ready("page", 2)
	for _, m := range []*member{n1, n2} {
		c.answersPage(m)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 8 {
		all.Go(func() {
			for j := range 4 {
				body := fmt.Sprintf("%d-%d %s", i, j, strings.Repeat("x", i*1000))
				response, said, err := send(c.asker, http.MethodPut, "http://"+n1.address+"/seed/page/a/b", "pages.example", body)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				statuses[response.StatusCode]++
				mu.Unlock()
				want := fmt.Sprintf("PUT /seed/page/a/b said %q to pages.example", body)
				switch response.StatusCode {
				case http.StatusAccepted:
					if said != want || response.Header.Get("X-Seed") != "page" {
						t.Errorf("it got another request than was sent: %.100s", said)
					}
				case http.StatusTooManyRequests, http.StatusServiceUnavailable:
				default:
					t.Errorf("%s %.200s", response.Status, said)
				}
			}
		})
	}
	all.Wait()
	if statuses[http.StatusAccepted] < 2 {
		t.Errorf("hardly anything was answered: %v", statuses)
	}
	t.Logf("answers by status: %v", statuses)
}

// answersPage waits until a node answers for the seed page.
func (c *cluster) answersPage(m *member) {
	c.Helper()
	c.until("page answers at "+m.name, func() bool {
		response, _, err := send(c.asker, http.MethodGet, "http://"+m.address+"/seed/page/", "", "")
		return err == nil && response.StatusCode == http.StatusAccepted
	})
}
