package main

import (
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// states tells a person where each seed and site stands on this node, and why it is or is not here.
func states(d Desired, a Actual) map[string]converge.State {
	all := map[string]converge.State{}
	places := placements(d)
	for _, wish := range d.Seeds {
		all[wish.Name] = seedState(d, a, wish, places[wish.Name])
	}
	for _, wish := range d.Sites {
		all[wish.subject()] = siteState(d, a, wish)
	}
	for name, reason := range d.Held {
		if _, known := all[name]; !known {
			all[name] = converge.State{Have: have(d, a, name), Phase: intent.PhaseHeld, Reason: reason}
		}
	}
	if d.Unlisted != "" {
		all[nodeSubject] = converge.State{Phase: intent.PhaseInvalid, Reason: d.Unlisted}
	}
	if a.Mute {
		all[nodeSubject] = converge.State{Phase: converge.Working, Reason: errNoSession.Error(), Moves: true}
	} else if fault := a.Faults[nodeSubject]; fault != "" {
		all[nodeSubject] = converge.State{Phase: converge.Working, Reason: fault, Moves: true}
	}
	return all
}

func have(d Desired, a Actual, name string) string {
	if c, ok := d.Claims[name][a.Node]; ok {
		return string(c.State)
	}
	return ""
}

func seedState(d Desired, a Actual, wish SeedWish, p Placement) converge.State {
	s := converge.State{Have: have(d, a, wish.Name), Phase: converge.Converged}
	if wish.Invalid != "" {
		s.Phase, s.Reason = intent.PhaseInvalid, wish.Invalid
		return s
	}
	if reason := d.Held[wish.Name]; reason != "" {
		s.Phase, s.Reason = intent.PhaseHeld, reason
		return s
	}
	claim, claimed := d.Claims[wish.Name][a.Node]
	mine := false
	for i, node := range p.Nodes {
		if node == a.Node {
			mine = true
			s.Want, s.Reason = string(intent.ReplicaReady), fmt.Sprintf("this node is number %d of %d that shall have it", i+1, len(p.Nodes))
		}
	}
	status := a.Workers[wish.Name]
	record, sick := a.Ward[wish.Name]
	sick = sick && claimed && record.of(wish.Seed)
	switch {
	case !mine && !claimed:
		s.Reason = notHere(d, a, wish, p)
	case sick && record.Parked():
		s.Phase, s.Reason = intent.PhaseQuarantined, fmt.Sprintf("%s; it is parked until its intent or its module changes, and no other node takes its place, "+
			"for it would end there, too: publish it mended (platypus seed FILE %s), or drain this node if you hold that to blame", record, wish.Name)
	case sick && status.State == "":
		s.Phase, s.Reason, s.Moves = converge.Failed, fmt.Sprintf("%s; it is tried again at %s", record, clock(record.Next)), true
	case status.State == wire.Failed:
		s.Phase, s.Reason = converge.Failed, "it cannot run: "+status.Error
	case claim.State == intent.ReplicaReady && claim.Digest == wish.Seed.Digest() && mine:
	case !mine:
		s.Phase, s.Reason, s.Moves = converge.Working, "other nodes shall have it: it stays until they are ready", true
	default:
		s.Phase, s.Reason, s.Moves = converge.Working, working(a, wish, status), true
	}
	if sick && s.Phase == converge.Converged {
		s.Reason += fmt.Sprintf("; it has a worker of its own, for %s", record)
	}
	if p.Problem != "" {
		s.Reason = strings.TrimPrefix(s.Reason+"; "+p.Problem, "; ")
	}
	return s
}

// working says what a seed that shall be ready is waiting for.
func working(a Actual, wish SeedWish, status wire.Status) string {
	switch _, here := a.Blobs[wish.Seed.Digest()]; {
	case a.Faults[wish.Name] != "":
		return a.Faults[wish.Name]
	case !here:
		return "the module is being fetched"
	case status.State == wire.Loading && status.Stage != "":
		return status.Stage
	case status.State == wire.Loading || status.State == "":
		return "the module is being compiled"
	}
	return "it is about to be said to be ready"
}

// notHere says why a node has no part in a seed.
func notHere(d Desired, a Actual, wish SeedWish, p Placement) string {
	self, live := d.Hosts[a.Node]
	switch {
	case !live:
		return "this node is not among those that take seeds yet"
	case self.Closed:
		return "this node is closed"
	case !eligible(self, wish.Seed.Replication):
		return "this node is not of the region or does not have the labels that it asks for: it is " + describe(self)
	case self.Cordoned:
		return "this node is cordoned: it takes no new seeds"
	}
	if left, lacks := p.Room[a.Node]; lacks {
		return fmt.Sprintf("it may take %v of memory, and of the %v that this node has for seeds (--memory) %v are left", wish.Seed.Need(), self.Memory, left)
	}
	return fmt.Sprintf("%d replicas are wanted, and these nodes rank higher: %s", p.Want, strings.Join(p.Nodes, ", "))
}
