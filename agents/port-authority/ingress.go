package main

import (
	"net"
	"net/netip"
	"slices"
)

// ingress is a way on which a packet may come to this host.
type ingress struct {
	source, destination netip.Addr
	name                string // of the interface; "" is unknown
	index               int
}

// probeAddresses are addresses all over the internet, of none of which anything is known.
var probeAddresses = map[Family][]netip.Addr{
	V4: addresses("23.45.67.89", "62.154.3.200", "91.198.7.21", "128.9.160.27", "155.133.40.5", "177.22.9.101", "196.25.1.77", "211.40.13.6"),
	V6: addresses("2001:4860:1::77", "2400:cb00:2::9", "2600:1f00:3::5", "2804:14d:4::21", "2a02:26f0:5::33", "2c0f:fb50:6::8"),
}

func addresses(all ...string) (list []netip.Addr) {
	for _, one := range all {
		list = append(list, netip.MustParseAddr(one))
	}
	return list
}

// ingressesFor returns ways on which packets from a source would come, everybody when it is not valid: strangers on the
// interface that leads to them, and neighbours on it. Where no route leads to them, every interface is one.
func ingressesFor(family Family, source netip.Prefix) (ways []ingress) {
	sources := probeAddresses[family]
	if source.IsValid() {
		sources = sampleAddresses(source)
	}
	locals := localAddresses(family)
	if by, ok := sourceFor(sources[0]); ok {
		if at := slices.IndexFunc(locals, func(l localAddress) bool { return l.address == by }); at >= 0 {
			locals = locals[at : at+1]
		}
	}
	if len(locals) == 0 {
		locals = []localAddress{{}}
	}
	for _, l := range locals {
		if neighbour := l.address.Next(); !source.IsValid() && neighbour.IsValid() {
			ways = append(ways, ingress{neighbour, l.address, l.name, l.index})
		}
		for _, s := range sources {
			ways = append(ways, ingress{s, l.address, l.name, l.index})
		}
	}
	return ways
}

// sampleAddresses returns a few addresses of a network.
func sampleAddresses(network netip.Prefix) (some []netip.Addr) {
	network = network.Masked()
	for _, pattern := range []byte{0x00, 0x55, 0xaa, 0xff} {
		b := network.Addr().AsSlice()
		for bit := network.Bits(); bit < len(b)*8; bit++ {
			b[bit/8] |= pattern & (0x80 >> (bit % 8))
		}
		a, _ := netip.AddrFromSlice(b)
		some = append(some, a)
	}
	if second := some[0].Next(); network.Contains(second) {
		some[0] = second // the first is that of the network itself
	}
	return slices.Compact(some)
}

// sourceFor returns the address that this host would use to talk to another. Nothing is sent.
func sourceFor(to netip.Addr) (from netip.Addr, ok bool) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return from, false
	}
	defer conn.Close()
	from = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	return from, !from.IsLoopback()
}

// localAddress is one that clients of other hosts may connect to.
type localAddress struct {
	address netip.Addr
	name    string
	index   int
}

func localAddresses(family Family) (all []localAddress) {
	interfaces, _ := net.Interfaces() // none that is seen is as good as unknown ones
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		held, _ := i.Addrs()
		for _, a := range held {
			prefix, err := netip.ParsePrefix(a.String())
			address := prefix.Addr()
			if err == nil && address.Is4() == (family == V4) && address.IsGlobalUnicast() {
				all = append(all, localAddress{address, i.Name, i.Index})
			}
		}
	}
	return all
}
