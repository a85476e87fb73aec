//go:build linux

package netfilter

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// targets of iptables that let the packet go on to the next rule.
var harmless = map[string]bool{
	"LOG": true, "NFLOG": true, "MARK": true, "CONNMARK": true, "CT": true, "NOTRACK": true, "SET": true, "TRACE": true, "CLASSIFY": true,
	"TCPMSS": true, "DSCP": true, "TOS": true, "TTL": true, "HL": true, "SECMARK": true, "CONNSECMARK": true, "AUDIT": true, "CHECKSUM": true,
}

// extension evaluates a match of iptables, of which only the commonest are known here.
func (p Packet) extension(m *expr.Match) answer {
	switch info := m.Info.(type) {
	case *xt.Comment:
		return yes
	case *xt.Tcp:
		if p.Protocol != tcp {
			return no
		}
		if info.Option != 0 || info.FlagsMask != 0 {
			return maybe
		}
		source := in(sourcePort, info.SrcPorts) != (info.InvFlags&xt.TcpInvSrcPorts != 0)
		return is(source && in(p.Port, info.DstPorts) != (info.InvFlags&xt.TcpInvDestPorts != 0))
	case *xt.Udp:
		source := in(sourcePort, info.SrcPorts) != (info.InvFlags&xt.UdpInvSrcPorts != 0)
		return is(p.Protocol == udp && source && in(p.Port, info.DstPorts) != (info.InvFlags&xt.UdpInvDestPorts != 0))
	case *xt.ConntrackMtinfo3:
		return state(info.ConntrackMtinfoBase, info.StateMask)
	case *xt.ConntrackMtinfo2:
		return state(info.ConntrackMtinfoBase, info.StateMask)
	case *xt.ConntrackMtinfo1:
		return state(info.ConntrackMtinfoBase, uint16(info.StateMask))
	}
	return maybe
}

func in(port uint16, ports [2]uint16) bool { return ports[0] <= port && port <= ports[1] }

// state evaluates conntrack's match when it is about the state and nothing else.
func state(base xt.ConntrackMtinfoBase, mask uint16) answer {
	const about, isNew = 1, 8 // XT_CONNTRACK_STATE, XT_CONNTRACK_STATE_BIT(IP_CT_NEW)
	if base.MatchFlags != about {
		return maybe
	}
	return is(mask&isNew != 0 != (base.InvertFlags&about != 0))
}
