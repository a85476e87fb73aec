//go:build linux

package netfilter

import (
	"bytes"
	"slices"

	"github.com/google/nftables/expr"
)

// answer is whether something about a packet is so.
type answer int

const (
	no answer = iota
	yes
	maybe
)

func is(condition bool) answer {
	if condition {
		return yes
	}
	return no
}

// conditions follow the expressions of one rule, up to what decides.
type conditions struct {
	registers
	walk *walk
	last expr.Any // the one before
}

// next evaluates one expression that decides nothing by itself: it loads something, compares, or has a side effect that
// no verdict hangs on.
func (c *conditions) next(e expr.Any) answer {
	defer func() { c.last = e }()
	switch e := e.(type) {
	case *expr.Cmp:
		return c.cmp(e)
	case *expr.Range:
		return c.between(e)
	case *expr.Bitwise:
		c.bitwise(e)
	case *expr.Byteorder:
		c.byteorder(e)
	case *expr.Immediate:
		c.load(e.Register, e.Data, true)
	case *expr.Meta:
		if !e.SourceRegister {
			value, ok := c.walk.packet.meta(e.Key)
			c.load(e.Register, value, ok)
		}
	case *expr.Ct:
		if !e.SourceRegister {
			value, ok := tracked(e.Key)
			c.load(e.Register, value, ok)
		}
	case *expr.Payload:
		if e.OperationType == expr.PayloadLoad {
			value, ok := c.walk.packet.payload(e.Base, e.Offset, e.Len)
			c.load(e.DestRegister, value, ok)
		}
	case *expr.Fib:
		value := make([]byte, ifNameSize)
		if value[0] = local; !e.ResultADDRTYPE { // of all that is asked of the routes only this is certain
			value = make([]byte, ifNameSize)
		}
		c.load(e.Register, value, e.ResultADDRTYPE && e.FlagDADDR && !e.FlagSADDR)
	case *expr.Exthdr:
		c.load(e.DestRegister, make([]byte, ifNameSize), false)
	case *expr.Hash:
		c.load(e.DestRegister, make([]byte, 4), false)
	case *expr.Numgen:
		c.load(e.Register, make([]byte, 4), false)
	case *expr.Match:
		return c.walk.packet.extension(e)
	case *expr.Counter, *expr.Log, *expr.Notrack, *expr.FlowOffload, *expr.SecMark, *expr.CtHelper, *expr.CtTimeout, *expr.CtExpect:
	default: // limits, quotas, sets that the packet itself changes, and what is newer than this program
		return maybe
	}
	return yes
}

// compared returns a register for a comparison. It is taken as known only once, but for the second half of a range: an
// expression that the library does not know is not shown at all, and may have loaded something else since.
func (c *conditions) compared(register uint32, length int, second bool) ([]byte, bool) {
	value, ok := c.read(register, length)
	if !ok {
		return nil, false
	}
	value = slices.Clone(value)
	if !second {
		c.load(register, make([]byte, length), false)
	}
	return value, true
}

func (c *conditions) cmp(e *expr.Cmp) answer {
	value, ok := c.compared(e.Register, len(e.Data), e.Op == expr.CmpOpGte)
	if !ok {
		return maybe
	}
	order := bytes.Compare(value, e.Data)
	switch e.Op {
	case expr.CmpOpEq:
		return is(order == 0)
	case expr.CmpOpNeq:
		return is(order != 0)
	case expr.CmpOpLt:
		return is(order < 0)
	case expr.CmpOpLte:
		return is(order <= 0)
	case expr.CmpOpGt:
		return is(order > 0)
	case expr.CmpOpGte:
		return is(order >= 0)
	}
	return maybe
}

func (c *conditions) between(e *expr.Range) answer {
	value, ok := c.compared(e.Register, len(e.FromData), false)
	if !ok || len(e.FromData) != len(e.ToData) {
		return maybe
	}
	in := bytes.Compare(value, e.FromData) >= 0 && bytes.Compare(value, e.ToData) <= 0
	return is(in == (e.Op == expr.CmpOpEq))
}

// bitwise does (value & mask) ^ xor. Shifts and operations on two registers have no mask, and make it unknown.
func (c *conditions) bitwise(e *expr.Bitwise) {
	size := int(e.Len)
	value, ok := c.read(e.SourceRegister, size)
	result := make([]byte, min(size, 64))
	if ok = ok && len(e.Mask) == size && len(e.Xor) == size; ok {
		for i := range result {
			result[i] = value[i]&e.Mask[i] ^ e.Xor[i]
		}
	}
	c.load(e.DestRegister, result, ok)
}

// byteorder turns each number of a register around, which is the same both ways. Where the host's order is that of the
// network nothing happens.
func (c *conditions) byteorder(e *expr.Byteorder) {
	size, step := int(e.Len), int(e.Size)
	value, ok := c.read(e.SourceRegister, size)
	result := make([]byte, min(size, 64))
	if ok = ok && step > 0 && size%step == 0; ok {
		copy(result, value)
		for at := 0; at < size && !bigEndian; at += step {
			slices.Reverse(result[at : at+step])
		}
	}
	c.load(e.DestRegister, result, ok)
}
