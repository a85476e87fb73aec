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

// TestFaultNewLeader places VMs with four allocators on three Consul servers whose leader is killed twice: first one
// that no allocator is connected to, then its successor. At no index is a machine overcommitted or an instance placed
// twice, and in the end everything is placed.
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
	h := newHarness(t, left.Addr, "leader/")
	h.inventory(launches()/10, 32)
	audit, stop := context.WithCancel(t.Context())
	var side sync.WaitGroup
	side.Go(func() { h.audit(audit) })
	group := startGroup(t, 4, "leader/", left.Addr, right.Addr)
	for n := range launches() {
		h.put(h.tree.VM(intent.Name(fmt.Sprintf("vm%d", n))), fmt.Sprintf(`{"region":%q,"cores":%d,"memory":"%dGB"}`, h.region(n), 1+n%3, 1+n%7))
		if n == launches()/3 || n == 2*launches()/3 {
			now := servers[leader()]
			now.Kill()
			now.Start() // it rejoins as a voter while the others continue
			now.Ready()
		}
	}
	h.waitPlaced(launches())
	stop()
	side.Wait()
	commits, steps, conflicts := group.end()
	if findings := fleet.Audit(h.tree, h.read()); len(findings) > 0 {
		t.Errorf("findings: %+v", findings)
	}
	t.Logf("4 allocators, 2 changes of the leader: %d vms, %d indexes audited; %d transactions for %d steps, %d refused or lost",
		launches(), h.audited, commits, steps, conflicts)
}
