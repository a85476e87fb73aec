// Package netfilter tells whether nftables lets a new connection through to a port of this host.
//
// An accept ends one base chain only: every other base chain that sees the packet must accept it as well. [Read] takes
// those that see what arrives (hooks prerouting and input, families inet and ip or ip6), and [Ruleset.Verdict] follows a
// packet through each as the kernel would. What cannot be known of a packet in advance (a mark, a limit, an extension
// of iptables) may match or not, and both ways are followed: Dropped means that no way lets the packet through.
package netfilter

import "net/netip"

// Packet is the first packet of a connection from outside to this host. It is a TCP SYN or a UDP datagram.
type Packet struct {
	Protocol    byte // 6 or 17
	Source      netip.Addr
	Destination netip.Addr // invalid: unknown
	Port        uint16     // of the destination
	Interface   string     // on which it arrives; "" is unknown
	Index       int        // of the interface
}

// Drop is a base chain that lets a packet not through.
type Drop struct {
	Family string // inet, ip, ip6
	Table  string
	Chain  string
	Hook   string // input, prerouting
	Policy bool   // no rule decided: the policy of the chain is drop
	By     string // the chain whose rule dropped or rejected it, when it was not the policy
}

// Outcomes of a chain, of which a packet may meet several when something about it is unknown.
type outcome uint8

const (
	passes    outcome = 1 << iota // accepted here
	drops                         // dropped or rejected
	falls                         // the end of the chain, or a return
	unmatched                     // of a rule: it does not apply
)

// maxDepth bounds jumps into jumps, as the kernel does.
const maxDepth = 16
