package main

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store/consultest"
)

// TestFaultNewLeader lets four allocators place vms on three Consul servers, whose leader is killed twice meanwhile: first
// one that no allocator speaks to, then whichever came after it. At no index does a machine hold more than it has or an
// instance have two places, and in the end everything has its place.
func TestFaultNewLeader(t *testing.T) {
	servers := consultest.StartCluster(t, 3)
	leader := func() (at int) {
		testhost.Eventually(t, "a leader", func() bool {
			for n, s := range servers {
				if s.Running() && s.Leads() {
					at = n
					return true
				}
			}
			return false
		})
		return at
	}
	first := leader()
	left, right := servers[(first+1)%3], servers[(first+2)%3]
	k := newKitchen(t, left.Addr, "leader/")
	k.inventory(launches()/10, 32)
	audit, stop := context.WithCancel(t.Context())
	var side sync.WaitGroup
	side.Go(func() { k.audit(audit) })
	crew := newCrew(t, 4, "leader/", left.Addr, right.Addr)
	for n := range launches() {
		k.put(k.tree.VM(intent.Name(fmt.Sprintf("vm%d", n))), fmt.Sprintf(`{"region":%q,"cores":%d,"memory":"%dGB"}`, k.region(n), 1+n%3, 1+n%7))
		if n == launches()/3 || n == 2*launches()/3 {
			now := servers[leader()]
			now.Kill()
			now.Start() // it comes back, to vote, while the others go on
			now.Ready()
		}
	}
	k.settled(launches())
	stop()
	side.Wait()
	commits, steps, conflicts := crew.end()
	if findings := fleet.Audit(k.tree, k.read()); len(findings) > 0 {
		t.Errorf("findings: %+v", findings)
	}
	t.Logf("4 allocators, 2 changes of the leader: %d vms, %d indexes audited; %d transactions for %d steps, %d refused or lost",
		launches(), k.audited, commits, steps, conflicts)
}
