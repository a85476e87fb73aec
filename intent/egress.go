package intent

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Egress is one allowed destination of a seed: an origin, "https://api.example.com" or "http://*.example.com:8080", or
// a network of private addresses to which an origin may resolve, "10.0.0.0/8". It contains no path.
type Egress string

// UnmarshalText accepts the forms above, in lower case.
func (e *Egress) UnmarshalText(text []byte) error {
	*e = Egress(strings.ToLower(string(text)))
	if _, ok := e.network(); ok {
		return nil
	}
	if _, _, _, err := e.origin(); err != nil {
		return fmt.Errorf("egress %q %w", truncate(string(text)), err)
	}
	return nil
}

func (e Egress) network() (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(string(e))
	return prefix, err == nil
}

// origin splits scheme://host:port. A host that begins with "*." matches every name below the rest.
func (e Egress) origin() (scheme, host string, port int, err error) {
	scheme, rest, ok := strings.Cut(string(e), "://")
	if port = map[string]int{"http": 80, "https": 443}[scheme]; !ok || port == 0 {
		return "", "", 0, fmt.Errorf("must begin with http:// or https://, or be a network such as 10.0.0.0/8")
	}
	host = rest
	if at := strings.LastIndexByte(rest, ':'); at >= 0 && !strings.HasSuffix(rest, "]") {
		host = rest[:at]
		if port, err = strconv.Atoi(rest[at+1:]); err != nil || port < 1 || port > 65535 {
			return "", "", 0, fmt.Errorf("names a port that is not within 1 to 65535")
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	name := strings.TrimPrefix(host, "*.")
	if _, err := netip.ParseAddr(name); err == nil && name == host {
		return scheme, host, port, nil
	}
	if _, err := ParseName(name); err != nil || strings.HasSuffix(name, ".") {
		return "", "", 0, fmt.Errorf("names no host, such as api.example.com or *.example.com, without a path")
	}
	return scheme, host, port, nil
}

// MayFetch reports whether an origin may be requested. [Grants.MayDial] checks the resolved address.
func (g Grants) MayFetch(scheme, host string, port int) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, e := range g.Egress {
		s, h, p, err := e.origin()
		if err != nil || s != scheme || p != port {
			continue
		}
		if suffix, wild := strings.CutPrefix(h, "*"); h == host || wild && strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
			return true
		}
	}
	return false
}

// MayDial reports whether an address may be connected to: all public addresses, and others within a listed network. An
// origin listed as an address is not enough, unless its network is listed, too.
func (g Grants) MayDial(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	for _, e := range g.Egress {
		if network, ok := e.network(); ok && network.Contains(address) {
			return true
		}
	}
	return public(address)
}

// reserved are non-public networks that the standard library does not know.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

func public(a netip.Addr) bool {
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, r := range reserved {
		if r.Contains(a) {
			return false
		}
	}
	return true
}
