package main

import (
	"context"
	"slices"
	"testing"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// host is what a node says of itself.
func (c *cluster) host(node string) intent.Host {
	c.Helper()
	prefix := c.tree.Hosts()
	pairs, _, err := c.store.List(context.Background(), prefix, store.Default)
	if err != nil {
		c.Fatal(err)
	}
	all := map[string]intent.Host{}
	for _, p := range pairs {
		name, _ := prefix.Below(p.Key)
		decodeInto(all, name, p.Value)
	}
	return all[node]
}

func machine(datacenter string, labels map[intent.Name]string) intent.Machine {
	return intent.Machine{Cores: 4, Memory: 8 * intent.GB, Datacenter: datacenter, Labels: labels}
}

// TestInventory: where a node is, and what it is like, is read from the inventory; flags say more; a label that changes
// moves seeds, and a record that is gone or cannot be read moves none.
func TestInventory(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	fast := map[intent.Name]string{"disk": "fast"}
	one, two := c.tree.Machine("SIN", "n1"), c.tree.Machine("SIN", "n2")
	c.put(one, machine("east", fast))
	c.put(two, machine("west", nil))
	m := c.start(1)
	c.start(2)
	c.start(3, "--region", "NRT", "--label", "disk=fast", "--label", "zone=z")
	c.publish(m, fixture.Go(t, "hello"), "s", map[string]any{"region": "SIN", "labels": map[string]string{"disk": "fast"}})
	if at := c.ready("s", 1); at[0] != "n1" {
		t.Fatalf("ready on %v", at)
	}
	if h := c.host("n1"); h.Region != "SIN" || h.Labels["zone"] != "east" || h.Labels["disk"] != "fast" {
		t.Errorf("%+v", h)
	}
	if r := c.replicas("s")["n1"]; r.Zone != "east" {
		t.Errorf("%+v", r)
	}
	c.put(c.tree.Machine("SIN", "n3"), machine("south", map[intent.Name]string{"rack": "7"}))
	c.until("flags and inventory are put together", func() bool {
		h := c.host("n3")
		return h.Region == "NRT" && h.Labels["zone"] == "z" && h.Labels["rack"] == "7" && h.Labels["datacenter"] == "south"
	})
	c.put(one, machine("east", nil))
	c.put(two, machine("west", fast))
	c.until("it has moved", func() bool {
		all := c.replicas("s")
		return len(all) == 1 && all["n2"].State == intent.ReplicaReady && all["n2"].Zone == "west"
	})
	c.until("the first node says why it has it no more", func() bool {
		return c.said("n1", "s").Reason == `this node is not of the region or does not have the labels that it asks for: it is region "SIN", datacenter=east, zone=east`
	})

	if err := c.store.Put(context.Background(), two, []byte(`{"cores": "many"}`)); err != nil {
		t.Fatal(err)
	}
	c.until("the mistake is told", func() bool { return c.said("n2", "node").Phase == intent.PhaseInvalid })
	if err := c.store.Delete(context.Background(), two); err != nil {
		t.Fatal(err)
	}
	c.until("there is no mistake any more", func() bool { return c.said("n2", "node").Phase == "" })
	if all := c.replicas("s"); all["n2"].State != intent.ReplicaReady || len(all) != 1 {
		t.Errorf("%+v", all)
	}
	if h := c.host("n2"); h.Labels["disk"] != "fast" {
		t.Errorf("%+v", h)
	}
}

// TestDrainUnderLoad declares a machine to be drained while its seed is called everywhere: not one call is lost.
func TestDrainUnderLoad(t *testing.T) {
	c := newCluster(t, embedtest.Start(t))
	for i := 1; i <= 3; i++ {
		c.start(i)
	}
	c.joined()
	c.publish(c.nodes["n1"], fixture.Go(t, "reactor+"), "s", map[string]any{"min_replicas": 2})
	at := c.ready("s", 2)
	for _, m := range c.nodes {
		c.answers(m, "s/hello", "x", "hello, x")
	}
	var stops []func() (int, []string)
	for _, m := range c.nodes {
		stops = append(stops, c.background(2, m, "s/nap", "3ms"))
	}
	drained := machine("", nil)
	drained.State = intent.MachineDraining
	c.put(c.tree.Machine("SIN", intent.Name(at[0])), drained)
	c.until("the machine is empty", func() bool {
		_, has := c.replicas("s")[at[0]]
		return !has && len(c.elsewhere("s", at[0])) == 2
	})
	ready := machine("", nil)
	c.put(c.tree.Machine("SIN", intent.Name(at[0])), ready)
	c.put(c.tree.Machine("SIN", intent.Name(at[1])), drained)
	c.until("the other one is empty", func() bool {
		_, has := c.replicas("s")[at[1]]
		return !has && len(c.elsewhere("s", at[1])) == 2
	})
	for _, stop := range stops {
		good, bad := stop()
		t.Logf("%d calls answered", good)
		if len(bad) > 0 || good == 0 {
			t.Errorf("%d calls are lost: %v", len(bad), bad)
		}
	}
	cordoned := machine("", nil)
	cordoned.State = intent.MachineCordoned
	c.put(c.tree.Machine("SIN", intent.Name(at[0])), cordoned)
	c.until("it is said to be cordoned", func() bool { return c.host(at[0]).Cordoned })
	if _, has := c.replicas("s")[at[0]]; !has {
		t.Error("a machine that is cordoned gives its seed up")
	}
	c.put(c.tree.Machine("SIN", intent.Name(at[1])), ready)
	c.publish(c.nodes["n1"], fixture.Go(t, "hello"), "t", map[string]any{"min_replicas": 3})
	if got := c.ready("t", 2); slices.Contains(got, at[0]) {
		t.Errorf("a machine that is cordoned takes a new seed: %v", got)
	}
}
