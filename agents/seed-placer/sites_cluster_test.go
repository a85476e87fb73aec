package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// keep puts a blob at a node and returns its digest.
func (c *cluster) keep(m *member, data string) string {
	c.Helper()
	unix := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", m.socket)
		}}}
	var kept struct{ SHA256 string }
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		_, said, err := send(unix, http.MethodPut, "http://node/blob", "", data)
		if err == nil {
			err = json.Unmarshal([]byte(said), &kept)
		}
		if err == nil {
			return kept.SHA256
		}
		if time.Since(begin) > hang {
			c.Fatal(err)
		}
	}
}

// site publishes a site of so many pages at a node, /0 to /n, each with its number and the version.
func (c *cluster) site(m *member, name, version string, pages int) (manifest string) {
	c.Helper()
	files := map[string]intent.File{}
	for i := range pages {
		page := fmt.Sprintf("%s %d", version, i)
		files[fmt.Sprintf("/%d", i)] = intent.File{SHA256: c.keep(m, page), Size: int64(len(page)), Type: "text/plain"}
	}
	data, err := json.Marshal(intent.Manifest{Files: files})
	if err != nil {
		c.Fatal(err)
	}
	manifest = "sha256:" + c.keep(m, string(data))
	c.declareSite(name, fmt.Sprintf(`{"manifest": %q}`, manifest))
	return manifest
}

func (c *cluster) declareSite(name, value string) {
	c.Helper()
	if err := c.store.Put(context.Background(), c.tree.Site(intent.Name(name)), []byte(value)); err != nil {
		c.Fatal(err)
	}
}

// page reads a page of a site at a node.
func (c *cluster) page(m *member, site string, page int) (status int, text string) {
	c.Helper()
	response, text, err := send(c.asker, http.MethodGet, fmt.Sprintf("http://%s/%d", m.address, page), site, "")
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, text
}

// TestSiteRepublished_StaysInService: while the files of a new version come to a node, it serves those of the version
// before; of a site that it did not have, it serves what another node has.
func TestSiteRepublished_StaysInService(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	n1, n2 := c.start(1), c.start(2)
	c.joined()
	const pages = 60
	for _, version := range []string{"v1", "v2"} {
		c.site(n1, "docs", version, pages)
		for begin := time.Now(); ; {
			current := 0
			for _, page := range []int{0, pages / 3, pages - 1} {
				status, text := c.page(n2, "docs", page)
				switch {
				case status == http.StatusOK && text == fmt.Sprintf("%s %d", version, page):
					current++
				case version == "v1" && status == http.StatusNotFound && strings.Contains(text, "under this name"): // it has not heard of it
				case status != http.StatusOK || version == "v1":
					t.Fatalf("page %d on the way to %s: %d %s", page, version, status, text)
				}
			}
			if current == 3 && c.said("n2", "site/docs").Phase == "converged" {
				break
			}
			if time.Since(begin) > hang {
				t.Fatalf("%s is never in service: %+v", version, c.said("n2", "site/docs"))
			}
		}
	}
}

// TestSiteWithInvalidIntent_StaysInService: a typo takes nothing away, not even over a restart, and is reported with its
// place.
func TestSiteWithInvalidIntent_StaysInService(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	n1, n2 := c.start(1), c.start(2)
	c.joined()
	manifest := c.site(n1, "docs", "v1", 2)
	for _, node := range []string{"n1", "n2"} {
		c.until(node+" serves it", func() bool { return c.said(node, "site/docs").Phase == "converged" })
	}
	for _, typo := range []string{`"max_age": "abc"`, `"not_found": "nope.html"`, `"manifest": 7`} {
		c.declareSite("docs", fmt.Sprintf(`{"manifest": %q, %s}`, manifest, typo))
		if strings.Contains(typo, "manifest") {
			c.declareSite("docs", "{"+typo+"}")
		}
		place := strings.Split(typo, `"`)[1]
		for _, m := range []*member{n1, n2} {
			c.until(m.name+" reports "+typo, func() bool {
				s := c.said(m.name, "site/docs")
				return s.Phase == intent.PhaseInvalid && strings.Contains(s.Reason, place)
			})
			if status, text := c.page(m, "docs", 1); status != http.StatusOK || text != "v1 1" {
				t.Errorf("%s with %s: %d %s", m.name, typo, status, text)
			}
		}
	}
	n2.kill()
	n2 = c.start(2)
	c.until("n2 is back", func() bool { status, _ := c.page(n2, "docs", 1); return status != 0 })
	if status, text := c.page(n2, "docs", 1); status != http.StatusOK || text != "v1 1" {
		t.Errorf("after a restart: %d %s", status, text)
	}
}
