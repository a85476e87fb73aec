package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
)

const longReason = "start v2: exited with status 1 after 0.4 s: listen tcp :8080: bind: address already in use; " +
	"last output: panic: the configuration of the database is missing"

// bare is two nodes and two apps, one of which fails, without an inventory: what somebody has after the first hour.
func bare() *shelf {
	s := newShelf()
	now := time.Now().Add(-time.Minute)
	well := intent.State{Want: "v1", Have: "v1", Phase: "converged", Since: now}
	for i, node := range []intent.Name{"web1", "web2"} {
		s.report("preparer", node, map[string]intent.State{"slug": well, "hello": well})
		s.report("port-authority", node, map[string]intent.State{"slug": well, "hello": well,
			"chain ipv4": {Want: "1 jump, 1 rule", Have: "1 jump, 1 rule", Phase: "converged", Since: now},
			"chain ipv6": {Phase: "converged", Reason: "ip6tables is not here", Since: now}})
		hello := well
		if i == 1 {
			hello = intent.State{Want: "v2", Have: "v1", Phase: "failed", Error: longReason, Since: now, Attempts: 4}
		}
		s.report("setlive", node, map[string]intent.State{"slug": well, "hello": hello})
	}
	s.report("recorder", "web1", map[string]intent.State{"recording": {Phase: "converged", Have: "6 keys as of commit 1", Since: now},
		"retention": {Phase: "converged", Have: "from commit 1 on", Since: now}})
	s.report("allocator", "web1", map[string]intent.State{"vms": {Want: "0", Have: "0", Phase: "converged", Since: now}})
	return s
}

// unanswered is an inventory and vms that no allocator has answered.
func unanswered() *shelf {
	s := newShelf()
	s.put(s.tree.Regions(), s.tree.Region("SIN"), intent.Region{Location: "Singapore", Status: "Operational"})
	s.put(s.tree.Machines(), s.tree.Machine("SIN", "m1"), intent.Machine{Cores: 8, Memory: 64 * intent.GB})
	s.put(s.tree.VMs(), s.tree.VM("web"), intent.VM{Region: []intent.Name{"SIN"}, Cores: 2, Memory: intent.GB, Count: 3})
	s.put(s.tree.PlacedVMs(), s.tree.PlacedVM(intent.Instance{VM: "web"}), intent.Placement{State: intent.Placed, Region: "SIN", Machine: "m1"})
	return s
}

// words are the visible words of a page without scripts.
func words(t *testing.T, s *shelf, of selection) string {
	t.Helper()
	page := newDashboard(&agent.Agent{Tree: s.tree}, "127.0.0.1:4000")
	page.status.record("", nil)
	page.publish(s.reader(time.Now).Fleet())
	var b strings.Builder
	if err := page.write(&b, of); err != nil {
		t.Fatal(err)
	}
	return gaps.ReplaceAllString(b.String(), " ")
}

// TestFirstPage_NoInventory: apps and nodes lead, and what agents keep for themselves is told as nobody's.
func TestFirstPage_NoInventory(t *testing.T) {
	got := words(t, bare(), selection{})
	for _, want := range []string{"2 apps · 1 not well", "2 nodes", "hello not well on 1 node", "Needs a look app hello 2 nodes", longReason[:40],
		"2 nodes on which agents run; there is no inventory of machines"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for _, wrong := range []string{"chain ipv", "0 machines", "0 vms", "allocated", "retention", "recording", "vm vms", "agent retention"} {
		if strings.Contains(got, wrong) {
			t.Errorf("%q in\n%s", wrong, got)
		}
	}
}

// TestFirstPage_AgentFails: what belongs to no app is told when it fails, under the name of its agent.
func TestFirstPage_AgentFails(t *testing.T) {
	s := bare()
	s.report("port-authority", "web3", map[string]intent.State{"chain ipv4": {Phase: "failed", Error: "iptables: permission denied", Since: time.Now()}})
	got := words(t, s, selection{})
	for _, want := range []string{"port-authority not well on 1 node", "agent port-authority", "chain ipv4: iptables: permission denied"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestFirstPage_UnansweredVMs: vms of which no allocator has said anything are the first thing told.
func TestFirstPage_UnansweredVMs(t *testing.T) {
	s := unanswered()
	got := words(t, s, selection{})
	for _, want := range []string{"1 vm placed · 2 unanswered", "2 vms unanswered: is an allocator running?", "web × 2 unanswered 2 cores, 1 GB in SIN",
		"no allocator has answered, and none is alive"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	s.put(s.tree.Alives(), s.tree.Alive("a1", "allocator"), "{}")
	if got := words(t, s, selection{}); strings.Contains(got, "is an allocator running") || !strings.Contains(got, "2 vms not answered yet") {
		t.Errorf("an allocator is alive: %s", got)
	}
}

// TestFirstPage_FaultsComeFirst looks at the page as it is drawn: what fails is above what is well, on a phone as well,
// and nothing of a reason is cut off.
func TestFirstPage_FaultsComeFirst(t *testing.T) {
	for name, s := range map[string]*shelf{"bare": bare(), "busy": busy(), "unanswered": unanswered()} {
		_, b := s.shown(t)
		for _, width := range []int64{1400, 390} {
			b.dress(width, 900, "light")
			b.open("/")
			b.until("live", live)
			order := ask[[]string](b, `['.ill-block', '.cards', '.apps-block', '.pending-block', '.changes-block']
				.filter((q) => document.querySelector(q)?.checkVisibility() && (innerWidth < 800 || !document.querySelector(q).closest('aside')))
				.sort((x, y) => document.querySelector(x).getBoundingClientRect().top - document.querySelector(y).getBoundingClientRect().top)`)
			at := func(q string) int { return slices.Index(order, q) }
			if at(".ill-block") > 0 {
				t.Errorf("%s at %d: %v", name, width, order)
			}
			if width == 390 && name != "bare" && at(".pending-block") > at(".cards") {
				t.Errorf("%s at %d: what waits is below what is well: %v", name, width, order)
			}
			if name == "bare" && at(".apps-block") > at(".cards") {
				t.Errorf("%s at %d: nodes before apps: %v", name, width, order)
			}
		}
	}
}

// TestMachine_Phone_ReasonsWrap: every letter of a reason is within the screen of a phone.
func TestMachine_Phone_ReasonsWrap(t *testing.T) {
	_, b := bare().shown(t)
	b.dress(390, 900, "dark")
	b.open("/?machine=web2#detail")
	b.until("live", live)
	for _, what := range []string{"tr.why td", ".machine tr > *"} {
		if cut := ask[[]string](b, fmt.Sprintf(`[...document.querySelectorAll(%q)].filter((e) => e.checkVisibility() && !e.closest('thead') &&
			(e.getBoundingClientRect().right > innerWidth || e.scrollWidth > e.clientWidth + 1)).map((e) => e.innerText)`, what)); len(cut) > 0 {
			t.Errorf("cut off: %q", cut)
		}
	}
}
