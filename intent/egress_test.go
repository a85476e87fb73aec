package intent

import (
	"net/netip"
	"testing"
)

func TestEgress(t *testing.T) {
	g := Grants{Egress: []Egress{"https://api.example.com", "http://*.example.org:8080", "https://[2001:db8::1]:443", "10.1.0.0/16"}}
	for _, c := range []struct {
		scheme, host string
		port         int
		may          bool
	}{
		{"https", "api.example.com", 443, true},
		{"https", "API.example.com.", 443, true},
		{"http", "api.example.com", 443, false},
		{"https", "api.example.com", 8443, false},
		{"https", "evil.api.example.com", 443, false},
		{"https", "api.example.com.evil.net", 443, false},
		{"http", "a.example.org", 8080, true},
		{"http", "a.b.example.org", 8080, true},
		{"http", "example.org", 8080, false},
		{"http", "evilexample.org", 8080, false},
		{"http", ".example.org", 8080, false},
		{"https", "2001:db8::1", 443, true},
		{"https", "10.1.0.1", 443, false}, // a network says what may be dialled, not what may be asked for
		{"", "", 0, false},
	} {
		if got := g.MayFetch(c.scheme, c.host, c.port); got != c.may {
			t.Errorf("%s://%s:%d: %v", c.scheme, c.host, c.port, got)
		}
	}
	for address, may := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "10.1.2.3": true, "::ffff:10.1.2.3": true,
		"10.2.0.1": false, "127.0.0.1": false, "::1": false, "169.254.169.254": false, "192.168.1.1": false, "172.16.0.1": false,
		"100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "fe80::1": false, "fd00::1": false,
		"::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "::": false,
	} {
		if got := g.MayDial(netip.MustParseAddr(address)); got != may {
			t.Errorf("%s: %v", address, got)
		}
	}
}
