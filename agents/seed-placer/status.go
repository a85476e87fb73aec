package main

import (
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// states returns the state of each seed and site on this node, with the reason why it is or is not here.
func states(d Desired, a Actual) map[string]converge.State {
	all := map[string]converge.State{}
	placed := placements(d)
	for _, desired := range d.Seeds {
		all[desired.Name] = seedState(d, a, desired, placed[desired.Name])
	}
	for _, desired := range d.Sites {
		all[desired.subject()] = siteState(d, a, desired)
	}
	for name, reason := range d.Held {
		if _, known := all[name]; !known {
			all[name] = converge.State{Have: claimState(d, a, name), Phase: intent.PhaseHeld, Reason: reason}
		}
	}
	if d.InventoryProblem != "" {
		all[nodeSubject] = converge.State{Phase: intent.PhaseInvalid, Reason: d.InventoryProblem}
	}
	if a.NoSession {
		all[nodeSubject] = converge.State{Phase: converge.Working, Reason: errNoSession.Error(), Moves: true}
	} else if fault := a.Faults[nodeSubject]; fault != "" {
		all[nodeSubject] = converge.State{Phase: converge.Working, Reason: fault, Moves: true}
	}
	return all
}

func claimState(d Desired, a Actual, name string) string {
	if c, ok := d.Claims[name][a.Node]; ok {
		return string(c.State)
	}
	return ""
}

func seedState(d Desired, a Actual, desired DesiredSeed, p Placement) converge.State {
	s := converge.State{Have: claimState(d, a, desired.Name), Phase: converge.Converged}
	if desired.Invalid != "" {
		s.Phase, s.Reason = intent.PhaseInvalid, desired.Invalid
		return s
	}
	if reason := d.Held[desired.Name]; reason != "" {
		s.Phase, s.Reason = intent.PhaseHeld, reason
		return s
	}
	claim, claimed := d.Claims[desired.Name][a.Node]
	selected := false
	for i, node := range p.Nodes {
		if node == a.Node {
			selected = true
			s.Want, s.Reason = string(intent.ReplicaReady), fmt.Sprintf("this node is number %d of %d that shall have it", i+1, len(p.Nodes))
		}
	}
	status := a.Workers[desired.Name]
	record, suspected := a.Suspects[desired.Name]
	suspected = suspected && claimed && record.matches(desired.Seed)
	switch {
	case !selected && !claimed:
		s.Reason = absenceReason(d, a, desired, p)
	case suspected && record.Parked():
		s.Phase, s.Reason = intent.PhaseQuarantined, fmt.Sprintf("%s; it is parked until its intent or its module changes, and no other node takes its place, "+
			"for it would end there, too: publish it mended (platypus seed FILE %s), or drain this node if you hold that to blame", record, desired.Name)
	case suspected && status.State == "":
		s.Phase, s.Reason, s.Moves = converge.Failed, fmt.Sprintf("%s; it is tried again at %s", record, formatTime(record.Next)), true
	case status.State == wire.Failed:
		s.Phase, s.Reason = converge.Failed, "it cannot run: "+status.Error
	case claim.State == intent.ReplicaReady && claim.Digest == desired.Seed.Digest() && selected:
	case !selected:
		s.Phase, s.Reason, s.Moves = converge.Working, "other nodes shall have it: it stays until they are ready", true
	default:
		s.Phase, s.Reason, s.Moves = converge.Working, waitReason(a, desired, status), true
	}
	if suspected && s.Phase == converge.Converged {
		s.Reason += fmt.Sprintf("; it has a worker of its own, for %s", record)
	}
	if p.Problem != "" {
		s.Reason = strings.TrimPrefix(s.Reason+"; "+p.Problem, "; ")
	}
	return s
}

// waitReason returns what a seed that is not ready yet waits for.
func waitReason(a Actual, desired DesiredSeed, status wire.Status) string {
	switch _, here := a.Blobs[desired.Seed.Digest()]; {
	case a.Faults[desired.Name] != "":
		return a.Faults[desired.Name]
	case !here:
		return "the module is being fetched"
	case status.State == wire.Loading && status.Stage != "":
		return status.Stage
	case status.State == wire.Loading || status.State == "":
		return "the module is being compiled"
	}
	return "it is about to be said to be ready"
}

// absenceReason returns why a node was not selected for a seed.
func absenceReason(d Desired, a Actual, desired DesiredSeed, p Placement) string {
	self, live := d.Hosts[a.Node]
	switch {
	case !live:
		return "this node is not among those that take seeds yet"
	case self.Closed:
		return "this node is closed"
	case !eligible(self, desired.Seed.Replication):
		return "this node is not of the region or does not have the labels that it asks for: it is " + describeHost(self)
	case self.Cordoned:
		return "this node is cordoned: it takes no new seeds"
	}
	if free, lacks := p.FreeMemory[a.Node]; lacks {
		return fmt.Sprintf("it may take %v of memory, and of the %v that this node has for seeds (--memory) %v are left", desired.Seed.Need(), self.Memory, free)
	}
	return fmt.Sprintf("%d replicas are wanted, and these nodes rank higher: %s", p.Want, strings.Join(p.Nodes, ", "))
}
