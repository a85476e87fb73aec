package intent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Protocol is the transport protocol of a port.
type Protocol string

// The protocols.
const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
)

// Port is one port or range to open. It is written as a number (tcp from anywhere), as a range "8000-8010", or as an
// object with "port", "protocol" and "source".
type Port struct {
	First    int            // 1 to 65535
	Last     int            // First for a single port
	Protocol Protocol       // tcp when unset in intent
	Source   []netip.Prefix // allowed sources; empty: everybody
}

// String returns the form 1212/tcp or 8000-8010/udp.
func (p Port) String() string { return p.span() + "/" + string(p.Protocol) }

// Equal reports whether both open the same ports to the same sources, in the same order.
func (p Port) Equal(o Port) bool {
	return p.First == o.First && p.Last == o.Last && p.Protocol == o.Protocol && slices.Equal(p.Source, o.Source)
}

// Overlaps reports whether some packet matches both, ignoring sources.
func (p Port) Overlaps(o Port) bool {
	return p.Protocol == o.Protocol && p.First <= o.Last && o.First <= p.Last
}

func (p Port) span() string {
	if p.First == p.Last {
		return strconv.Itoa(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// MarshalJSON writes the shortest form.
func (p Port) MarshalJSON() ([]byte, error) {
	var port any = p.First
	if p.First != p.Last {
		port = p.span()
	}
	if p.Protocol == TCP && len(p.Source) == 0 {
		return json.Marshal(port)
	}
	return json.Marshal(struct {
		Port     any            `json:"port"`
		Protocol Protocol       `json:"protocol"`
		Source   []netip.Prefix `json:"source,omitempty"`
	}{port, p.Protocol, p.Source})
}

// portObject is the long form of a port.
type portObject struct {
	Port     json.RawMessage `json:"port"`
	Protocol Protocol        `json:"protocol"`
	Source   []string        `json:"source"`
}

func (p *Port) read(parser *parser, v *value, pointer string) {
	p.Protocol = TCP
	if v.kind != '{' {
		p.readSpan(parser, v, pointer)
		return
	}
	object := portObject{Protocol: TCP}
	parser.decodeObject(v, pointer, reflect.ValueOf(&object).Elem())
	port := v.memberNamed("port")
	if port == nil {
		parser.errorf(v, pointer, "\"port\" is missing")
		return
	}
	p.readSpan(parser, port, pointer+"/port")
	p.Protocol = Protocol(strings.ToLower(string(object.Protocol)))
	if p.Protocol != TCP && p.Protocol != UDP {
		parser.errorf(v.memberNamed("protocol"), pointer+"/protocol", "protocol %q is not tcp or udp", truncate(string(object.Protocol)))
	}
	for i, text := range object.Source {
		source, err := parseSource(text)
		if err != nil {
			parser.errorf(v.memberNamed("source"), fmt.Sprintf("%s/source/%d", pointer, i), "%v", err)
		}
		p.Source = append(p.Source, source)
	}
}

func (p *Port) readSpan(parser *parser, v *value, pointer string) {
	text, isRange := v.text, v.kind == '"' && strings.Contains(v.text, "-")
	if v.kind != '0' && !isRange {
		parser.expectKind(v, pointer, '0', "a port number or a range such as \"8000-8010\"")
		return
	}
	first, last, _ := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16) // unlike Atoi it accepts no sign
	to, err2 := strconv.ParseUint(last, 10, 16)
	p.First, p.Last = int(from), int(to)
	switch {
	case err1 != nil || err2 != nil || from < 1 || to < 1:
		parser.errorf(v, pointer, "port %s is not within 1 to 65535", truncate(text))
	case from > to:
		parser.errorf(v, pointer, "range %s is backwards: give the lower port first", truncate(text))
	}
}

// parseSource reads an address or a network; host bits are masked, as iptables does.
func parseSource(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil || network.Addr().Is4In6() {
		return network, fmt.Errorf("source %q is not an address or a network such as \"10.0.0.0/8\"", truncate(text))
	}
	return network.Masked(), nil
}

// memberNamed returns the member of an object whose folded name equals name.
func (v *value) memberNamed(name string) *value {
	for _, m := range v.members {
		if foldName(m.name) == foldName(name) {
			return m.value
		}
	}
	return nil
}
