//go:build linux

package netfilter

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// elements are those of one set or map.
type elements struct {
	set  *nftables.Set
	all  []nftables.SetElement
	rest *nftables.SetElement // what stands for every key that is not there
}

func newElements(set *nftables.Set, all []nftables.SetElement) *elements {
	e := &elements{set: set}
	for i := range all {
		if len(all[i].Key) == 0 {
			e.rest = &all[i]
			continue
		}
		e.all = append(e.all, all[i])
	}
	slices.SortStableFunc(e.all, func(a, b nftables.SetElement) int { return bytes.Compare(a.Key, b.Key) })
	return e
}

// size is the length of a key in bytes.
func (e *elements) size() int {
	if len(e.all) > 0 {
		return len(e.all[0].Key)
	}
	return int(e.set.KeyType.Bytes)
}

// find returns the element that a key is or lies in, nil when there is none.
func (e *elements) find(key []byte) *nftables.SetElement {
	var found *nftables.SetElement
	for i := range e.all {
		switch element := &e.all[i]; {
		case len(element.KeyEnd) > 0:
			if e.inside(key, element) {
				return element
			}
		case !e.set.Interval:
			if bytes.Equal(element.Key, key) {
				return element
			}
		case bytes.Compare(element.Key, key) <= 0: // sorted: the last of these begins or ends what the key lies in
			if found == nil || !bytes.Equal(found.Key, element.Key) || !element.IntervalEnd {
				found = element
			}
		}
	}
	if found == nil || found.IntervalEnd {
		return e.rest
	}
	return found
}

// inside reports whether each part of a concatenated key lies between both ends. Parts begin at whole words.
func (e *elements) inside(key []byte, element *nftables.SetElement) bool {
	if len(element.Key) != len(key) || len(element.KeyEnd) != len(key) {
		return false
	}
	at := 0
	for _, part := range nftables.ConcatSetTypeElements(e.set.KeyType) {
		end := at + int(part.Bytes+3)&^3
		if end > len(key) || end == at {
			return false
		}
		k := key[at:end]
		if bytes.Compare(k, element.Key[at:end]) < 0 || bytes.Compare(k, element.KeyEnd[at:end]) > 0 {
			return false
		}
		at = end
	}
	return at == len(key)
}

// lookup evaluates a set, a map, or a map of verdicts, whose verdicts are then all that may be meant.
func (c *conditions) lookup(e *expr.Lookup) (found answer, verdicts []*expr.Verdict) {
	set := c.walk.elements(e.SetName)
	isVerdict := e.IsDestRegSet && e.DestRegister == 0
	if set == nil {
		return maybe, []*expr.Verdict{{Kind: expr.VerdictAccept}}
	}
	key, known := c.compared(e.SourceRegister, set.size(), false)
	switch {
	case !known && isVerdict:
		for i := range set.all {
			verdicts = append(verdicts, verdictOf(set.all[i].Val))
		}
		if set.rest != nil {
			verdicts = append(verdicts, verdictOf(set.rest.Val))
		}
		return maybe, verdicts
	case !known:
		if e.IsDestRegSet {
			c.load(e.DestRegister, make([]byte, ifNameSize), false)
		}
		return maybe, nil
	}
	element := set.find(key)
	switch {
	case element == nil:
		return is(e.Invert), nil
	case isVerdict:
		return yes, []*expr.Verdict{verdictOf(element.Val)}
	case e.IsDestRegSet:
		c.load(e.DestRegister, element.Val, true)
	}
	return is(!e.Invert), nil
}

// Attributes of a verdict in an element, which the library leaves as they are.
const (
	verdictCode  = 1
	verdictChain = 2
)

// verdictOf reads a verdict; one that cannot be read accepts, so that nobody is alarmed by it.
func verdictOf(b []byte) *expr.Verdict {
	v := &expr.Verdict{Kind: expr.VerdictAccept}
	for len(b) >= 4 {
		length := int(binary.NativeEndian.Uint16(b))
		if length < 4 || length > len(b) {
			break
		}
		switch value := b[4:length]; binary.NativeEndian.Uint16(b[2:]) & 0x3fff {
		case verdictCode:
			if len(value) == 4 {
				v.Kind = expr.VerdictKind(int32(binary.BigEndian.Uint32(value)))
			}
		case verdictChain:
			v.Chain = string(bytes.TrimRight(value, "\x00"))
		}
		b = b[min(len(b), (length+3)&^3):]
	}
	return v
}
