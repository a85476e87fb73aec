package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

const localIn = 1 // the hook of chain INPUT

// xtable is table filter of the legacy back-end as the kernel keeps it: entries one after the other, each a rule or the
// head of a chain.
type xtable struct {
	family  Family
	buffer  []byte // to be used again
	entries []byte
	input   int // where chain INPUT begins
	policy  int // its last entry
	sum     uint64
}

// layout is where the members of an entry are, which differs by the size of an address.
type layout struct{ address, interfaces, protocol, flags, target, scratch, elements int }

var layouts = map[Family]layout{
	V4: {address: 4, interfaces: 16, protocol: 80, flags: 82, target: 88, scratch: 92, elements: 112},
	V6: {address: 16, interfaces: 64, protocol: 128, flags: 131, target: 140, scratch: 144, elements: 168},
}

// Sizes and values in the elements of an entry.
const (
	elementHead = 32 // size of 2, name of 29, revision
	accept      = -2
	returns     = -5
)

// xtEntry is one of a table.
type xtEntry struct {
	layout
	at           int
	ip           []byte // of addresses, interfaces, protocol and flags
	matches      []byte
	target       string // its name; "" is the standard one
	targetData   []byte
	flagsAllowed byte
}

// next cuts the entry at an offset out of the table, ok is false when it is none.
func (t xtable) next(at int) (e xtEntry, end int, ok bool) {
	l, b := layouts[t.family], t.entries[at:]
	if len(b) < l.elements+elementHead {
		return e, 0, false
	}
	target, next := int(binary.NativeEndian.Uint16(b[l.target:])), int(binary.NativeEndian.Uint16(b[l.target+2:]))
	if target < l.elements || next < target+elementHead || next > len(b) {
		return e, 0, false
	}
	e = xtEntry{layout: l, at: at, ip: b[:l.target-4], matches: b[l.elements:target], target: text(b[target+2 : target+31]), targetData: b[target+elementHead : next]}
	if t.family == V6 {
		e.flagsAllowed = 1 // that there is a protocol
	}
	return e, at + next, true
}

// locateChain blanks what the kernel counts and scribbles in each entry, so that equal rules are equal bytes.
func (t xtable) locateChain() bool {
	l := layouts[t.family]
	for at := 0; at < len(t.entries); {
		_, end, ok := t.next(at)
		if !ok {
			return false
		}
		clear(t.entries[at+l.scratch : at+l.elements])
		at = end
	}
	return true
}

// parseTable returns what [parseChain] would of the same table. ok is false when something stands there that only
// iptables-save can put into words: a rule in our chain that is not of our making, or one before the jump that may
// matter.
func parseTable(t xtable) (c *Chain, ok bool) {
	c = &Chain{Rules: map[intent.Name][]Rule{}}
	var chain []xtEntry // of our chain, once its head was met
	var input []xtEntry
	first, inOurs := -1, false
	for at := 0; at < len(t.entries); {
		e, end, ok := t.next(at)
		if !ok {
			return nil, false
		}
		switch {
		case e.target == "ERROR" && len(e.targetData) >= 30:
			if inOurs = text(e.targetData[:30]) == chainName; inOurs {
				c.Exists, first = true, end
			}
		case inOurs:
			chain = append(chain, e)
		case at >= t.input && at < t.policy:
			input = append(input, e)
		}
		at = end
	}
	for _, e := range input {
		verdict, standard := e.verdict()
		switch {
		case standard && c.Exists && verdict == first && e.isPlain():
			c.Jumps++
		case c.Jumps == 0 && (!standard || verdict != accept):
			return nil, false
		}
	}
	for i, e := range chain {
		if i == len(chain)-1 {
			break // the end of each chain is a return that no rule says
		}
		if node, marks := e.mark(); marks && c.Node == "" {
			c.Node = node
			continue
		}
		app, r, ok := e.rule()
		if !ok {
			return nil, false
		}
		c.Rules[app] = append(c.Rules[app], r)
	}
	return c, true
}

func (e xtEntry) verdict() (int, bool) {
	if e.target != "" || len(e.targetData) < 4 {
		return 0, false
	}
	return int(int32(binary.NativeEndian.Uint32(e.targetData))), true
}

// mark reads the rule that names a node, ok is false for any other.
func (e xtEntry) mark() (node intent.Name, ok bool) {
	verdict, standard := e.verdict()
	comment, rest := element(e.matches, "comment")
	if !standard || verdict != returns || !zero(e.ip) || len(comment) < 256 || len(rest) > 0 {
		return "", false
	}
	name, marked := strings.CutPrefix(text(comment), nodeMark)
	node, err := intent.ParseName(name)
	return node, marked && err == nil
}

// isPlain reports whether an entry is about every packet.
func (e xtEntry) isPlain() bool { return len(e.matches) == 0 && zero(e.ip) }

// rule reads an entry that this agent could have written.
func (e xtEntry) rule() (app intent.Name, r Rule, ok bool) {
	verdict, standard := e.verdict()
	ip, a := e.ip, e.address
	source, sound := prefixOf(ip[:a], ip[2*a:3*a])
	others := zero(ip[a:2*a]) && zero(ip[3*a:e.protocol]) && zero(ip[e.protocol+2:e.flags]) &&
		ip[e.flags]&^e.flagsAllowed == 0 && ip[e.flags+1] == 0
	protocol := map[uint16]intent.Protocol{6: intent.TCP, 17: intent.UDP}[binary.NativeEndian.Uint16(ip[e.protocol:])]
	if !standard || verdict != accept || !sound || !others || protocol == "" {
		return "", r, false
	}
	ports, rest := element(e.matches, string(protocol))
	comment, rest := element(rest, "comment")
	if len(ports) < 9 || len(comment) < 256 || len(rest) > 0 {
		return "", r, false
	}
	number := func(at int) int { return int(binary.NativeEndian.Uint16(ports[at:])) }
	name, marked := strings.CutPrefix(text(comment), mark)
	app, err := intent.ParseName(name)
	if number(0) != 0 || number(2) != 65535 || !zero(ports[8:]) || !marked || err != nil || number(4) == 0 {
		return "", r, false
	}
	return app, Rule{Port: portRange{protocol, number(4), number(6)}, Source: source}, true
}

// element cuts the first of the matches off when it has that name and the first revision.
func element(matches []byte, name string) (data, rest []byte) {
	if len(matches) < elementHead {
		return nil, matches
	}
	size := int(binary.NativeEndian.Uint16(matches))
	if size < elementHead || size > len(matches) || text(matches[2:31]) != name || matches[31] != 0 {
		return nil, matches
	}
	return matches[elementHead:size], matches[size:]
}

// prefixOf returns a network, the zero value for the one of all addresses.
func prefixOf(address, mask []byte) (netip.Prefix, bool) {
	bits, ended := 0, false
	for _, b := range mask {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && ended {
				return netip.Prefix{}, false
			}
			if ended = !one; one {
				bits++
			}
		}
	}
	a, ok := netip.AddrFromSlice(address)
	return omitIfAll(netip.PrefixFrom(a, bits)), ok
}

// text is what stands before the first NUL.
func text(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
