package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/agent"
)

// gaps are the markup and the space between words.
var gaps = regexp.MustCompile(`(<[^>]*>|\s)+`)

// TestShown holds plain HTML, as it is without scripts, to all that the page is for.
func TestShown(t *testing.T) {
	s := busy()
	page := newDashboard(&agent.Agent{Tree: s.tree}, "127.0.0.1:4000")
	page.status.record("", nil)
	page.publish(s.reader(time.Now).Fleet())
	for _, c := range []struct {
		about string
		of    selection
		in    string // the panel, "" for the whole page
		want  []string
	}{
		{"the rail has every region with its bars", selection{}, "rail", []string{`aria-label="cores: 144 cores allocated, 20 cores reserved, 156 cores free of 320 cores`, `aria-label="memory: `,
			"AMS Amsterdam, Netherlands 10", "Degraded Performance", "Nodes in no inventory 1"}},
		{"the sums say what is free, odd and pending", selection{}, "totals", []string{"103 machines · 18 to look at", "396 vms placed · 4 pending", "of 3\u202f208 cores free"}},
		{"a card says what is free, how it stands and who works there", selection{Region: "AMS"}, "cards", []string{"metal-04 .ams.example.net ready Cores 18 of 32 free Memory 1.55 TB of 2 TB free 3 vms · preparer · seed-placer not converged · setlive"}},
		{"a card names a state in words", selection{Region: "SIN"}, "cards", []string{"metal-02 .sin.example.net draining", "metal-03 .sin.example.net dead", "metal-50 .sin.example.net", "4 over"}},
		{"cards of many regions say which", selection{Query: "metal-03"}, "cards", []string{"metal-03 .gig.example.net", "GIG · "}},
		{"a machine in full: worst first, what it has and wants, agents, vms", selection{Machine: "metal-01.iad.example.net"}, "detail", []string{
			"over-committed", "0 of 32 free · 2 over", "Reserved 2 cores, 64 GB", "disk=nvme", "setlive alive not converged",
			"Since slug failed v1 wants v2 setlive", "start v2: exited with status 1 after 0.4 s", "8 vms", "web.50 4 128GB slug production placed"}},
		{"what waits says why, for how many, and what kept it out", selection{}, "pending", []string{
			"cache × 3 4 cores, 512 GB in DEN no machine in DEN has 512 GB free; 2 would fit in CDG 7 machines : memory 1 machine : cordoned 1 machine : draining cache.0, cache.1, cache.2", "giant.0 33 cores"}},
		{"recent changes say when, what and where", selection{}, "changes", []string{"seed resize metal-03.ams.example.net seed-placer: failed: it cannot run", "seed hello 2 nodes seed-placer: converged, ready", "app slug metal-01.ams.example.net"}},
		{"apps that fail by node with their state and version", selection{}, "ill", []string{"app slug 99 nodes v2 × 96 v1 × 2 95 converged 1 waiting 1 failed 1 invalid 1 silent",
			"metal-01.iad.example.net failed v1 setlive: start v2", "Where it is well metal-01.ams.example.net v2", "and 83 more",
			"seed orphan on no node this node is not of the region", "seed resize 1 node 1 failed metal-03.ams.example.net failed"}},
		{"apps that are well", selection{}, "apps", []string{"search 98 nodes v2 × 98 98 converged"}},
		{"seeds by node with their state", selection{}, "seeds", []string{"hello 2 nodes 2 ready", "metal-02.ams.example.net ready", "quiet 1 node 1 ready"}},
		{"values that cannot be used", selection{}, "faults", []string{"platypus/intent/machines/GIG/metal-99.gig.example.net", "a whole number is expected"}},
		{"the store's state, its index and the age of the page", selection{}, "", []string{"As of now index 1\u202f0", `<time datetime="`}},
	} {
		var b bytes.Buffer
		if err := page.write(&b, c.of); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if c.in != "" {
			_, text, _ = strings.Cut(text, `<div id="`+c.in+`" class="panel`)
			text, _, _ = strings.Cut(text, `class="empty"`)
		}
		words := gaps.ReplaceAllString(text, " ")
		for _, want := range c.want {
			if !strings.Contains(text, want) && !strings.Contains(words, want) {
				t.Errorf("%s: no %q in\n%.2000s", c.about, want, words)
			}
		}
	}
}
