//go:build linux

package netfilter

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
)

// Numbers of protocols and of the kernel's interface that a loaded value is compared with.
const (
	tcp, udp     = 6, 17
	etherV4      = 0x0800
	etherV6      = 0x86dd
	nfV4, nfV6   = 2, 10 // NFPROTO_
	ifNameSize   = 16
	arpEthernet  = 1
	local        = 2 // RTN_LOCAL
	sourcePort   = 50_000
	synFlag      = 0x02
	ipHeader     = 20
	ip6Header    = 40
	stateNew     = expr.CtStateBitNEW
	byteUnknown  = -1
	transportTCP = 20
	transportUDP = 8
)

func (p Packet) v4() bool { return p.Source.Is4() }

// meta returns what a rule can ask of a packet beside its bytes; ok is false for what is not known.
func (p Packet) meta(key expr.MetaKey) (value []byte, ok bool) {
	native := binary.NativeEndian
	switch key {
	case expr.MetaKeyL4PROTO:
		return []byte{p.Protocol}, true
	case expr.MetaKeyNFPROTO:
		if p.v4() {
			return []byte{nfV4}, true
		}
		return []byte{nfV6}, true
	case expr.MetaKeyPROTOCOL:
		if p.v4() {
			return binary.BigEndian.AppendUint16(nil, etherV4), true
		}
		return binary.BigEndian.AppendUint16(nil, etherV6), true
	case expr.MetaKeyPKTTYPE:
		return []byte{0}, true // to this host
	case expr.MetaKeyIIFNAME:
		name := make([]byte, ifNameSize)
		copy(name, p.Interface)
		return name, p.Interface != ""
	case expr.MetaKeyIIF:
		return native.AppendUint32(nil, uint32(p.Index)), p.Interface != ""
	case expr.MetaKeyLEN, expr.MetaKeyMARK, expr.MetaKeyPRIORITY, expr.MetaKeyIIFGROUP, expr.MetaKeyCPU,
		expr.MetaKeyRTCLASSID, expr.MetaKeySECMARK, expr.MetaKeyCGROUP, expr.MetaKeyPRANDOM:
		return make([]byte, 4), false
	case expr.MetaKeyIIFTYPE:
		return make([]byte, 2), false
	}
	return make([]byte, ifNameSize), false
}

// tracked returns what connection tracking says of a first packet.
func tracked(key expr.CtKey) (value []byte, ok bool) {
	switch key {
	case expr.CtKeySTATE:
		return binary.NativeEndian.AppendUint32(nil, stateNew), true
	case expr.CtKeySTATUS:
		return make([]byte, 4), true // neither confirmed, nor of another address
	case expr.CtKeyDIRECTION:
		return []byte{0}, true // from who asked
	}
	return make([]byte, 16), false
}

// payload returns bytes of a header; ok is false when one of them is not known.
func (p Packet) payload(base expr.PayloadBase, offset, length uint32) (value []byte, ok bool) {
	var header []int
	switch base {
	case expr.PayloadBaseNetworkHeader:
		header = p.network()
	case expr.PayloadBaseTransportHeader:
		header = p.transport()
	}
	value, ok = make([]byte, min(length, 64)), length <= 64
	for i := range value {
		at := int(offset) + i
		if at >= len(header) || header[at] == byteUnknown {
			return value, false
		}
		value[i] = byte(header[at])
	}
	return value, ok
}

// unknown returns a header of which nothing is known yet.
func unknown(size int) []int {
	header := make([]int, size)
	for i := range header {
		header[i] = byteUnknown
	}
	return header
}

func set(header []int, at int, bytes ...byte) {
	for i, b := range bytes {
		header[at+i] = int(b)
	}
}

func (p Packet) network() []int {
	if p.v4() {
		h := unknown(ipHeader)
		set(h, 0, 0x45)
		set(h, 9, p.Protocol)
		set(h, 12, p.Source.AsSlice()...)
		set(h, 16, p.Destination.AsSlice()...)
		return h
	}
	h := unknown(ip6Header)
	set(h, 6, p.Protocol)
	set(h, 8, p.Source.AsSlice()...)
	set(h, 24, p.Destination.AsSlice()...)
	return h
}

func (p Packet) transport() []int {
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, sourcePort), p.Port)
	if p.Protocol == udp {
		h := unknown(transportUDP)
		set(h, 0, ports...)
		return h
	}
	h := unknown(transportTCP)
	set(h, 0, ports...)
	set(h, 13, synFlag)
	return h
}
