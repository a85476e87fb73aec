package inventory

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// The bounds of one machine. A number beyond them is a slip of the pen.
const (
	maxCores  = intent.MaxCores
	minMemory = uint64(intent.MB)      // bytes
	maxMemory = uint64(intent.MaxSize) // bytes
)

var machineShape = shape{
	noun:     "machines",
	required: []string{"region", "address", "memory_total", "cores_total"},
	optional: []string{"scheme", "datacenter", "http_auth_username", "http_auth_password", "wait_time", "token",
		"tls_config_address", "tls_config_ca_path", "tls_config_ca_file", "tls_config_cert_file", "tls_config_key_file",
		"tls_config_insecure_skip_verify", "memory_allocated", "cores_allocated", "status"},
}

// Machines reads a sheet of machines, of the 19 columns of machineShape. Regions are the codes that may be named; with
// none, every code may. An error means that nothing of the sheet can be read.
func Machines(data []byte, regions []string) (Read, error) {
	s, err := readSheet(data, machineShape)
	if err != nil {
		return Read{}, err
	}
	var records []Record
	addresses, names := map[string]int{}, map[string]int{}
	shared := s.sharedHosts()
	for _, r := range s.rows {
		if r.broken {
			continue
		}
		s.unkept(r)
		region := s.region(r, regions)
		host, port := s.address(r)
		fields := s.capacity(r)
		s.allocated(r, "memory_allocated", "memory_total")
		s.allocated(r, "cores_allocated", "cores_total")
		initial := s.state(r)
		if r.broken || !s.once(addresses, r, r.cells["address"], r.cells["address"].text) {
			continue
		}
		name, err := nodeName(host, port, shared[host] || loopback(host))
		if err != nil {
			s.errorf(r, r.cells["address"], "no name can be made of address %s: %v", shown(r.cells["address"].text), err)
			continue
		}
		if !s.once(names, r, r.cells["address"], string(name)) {
			continue
		}
		fields = append(fields, Field{"address", text(r.cells["address"].text)})
		if dc := r.cells["datacenter"].text; dc != "" {
			fields = append(fields, Field{"datacenter", text(dc)})
		}
		records = append(records, Record{
			Key: "machines/" + string(region) + "/" + string(name), Line: r.line, Fields: fields, Initial: initial,
		})
	}
	return s.read(records), nil
}

// sharedHosts are those that more than one sound row names: only the port tells their machines apart.
func (s *sheet) sharedHosts() map[string]bool {
	ports, shared := map[string]string{}, map[string]bool{}
	for _, r := range s.rows {
		host, port, err := net.SplitHostPort(r.cells["address"].text)
		if err != nil || r.broken {
			continue
		}
		if before, seen := ports[host]; seen && before != port {
			shared[host] = true
		}
		ports[host] = port
	}
	return shared
}

func (s *sheet) region(r *row, regions []string) intent.Name {
	c := r.cells["region"]
	code := s.name(r, "region")
	if r.broken || len(regions) == 0 || slices.Contains(regions, string(code)) {
		return code
	}
	hint := ":"
	if near := similar(c.text, regions); near != "" {
		hint = fmt.Sprintf(": is %s meant?", near)
	}
	s.errorf(r, c, "region %s is not declared%s There are %s", shown(c.text), hint, strings.Join(regions, " "))
	return code
}

// address reads host:port. What might hold credentials is not repeated.
func (s *sheet) address(r *row) (host, port string) {
	c := r.cells["address"]
	if strings.ContainsAny(c.text, "@/") {
		s.errorf(r, c, "cell \"address\" holds more than host:port, such as a scheme or a user")
		return "", ""
	}
	host, port, err := net.SplitHostPort(c.text)
	number, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || host == "" || number == 0 {
		s.errorf(r, c, "address %s is not host:port with a port from 1 to 65535", shown(c.text))
	}
	return host, port
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// nodeName is what the machine is called in keys: its host's name, the name under which agents on it report. Where that
// names no single machine the port is part of it. Colons of IPv6 become dashes.
func nodeName(host, port string, withPort bool) (intent.Name, error) {
	name := strings.TrimSuffix(host, ".")
	if strings.Contains(name, ":") {
		name = "ip6-" + strings.Trim(strings.ReplaceAll(strings.ReplaceAll(name, "%", "-"), ":", "-"), "-")
	}
	if withPort {
		name += "-" + port
	}
	return intent.ParseName(name)
}

func (s *sheet) capacity(r *row) []Field {
	cores, _ := s.number(r, "cores_total", 1, maxCores, "cores")
	memory, _ := s.number(r, "memory_total", minMemory, maxMemory, "bytes")
	return []Field{
		{"cores", json.RawMessage(strconv.FormatUint(cores, 10))},
		{"memory", text(intent.Size(memory).String())},
	}
}

func (s *sheet) number(r *row, column string, least, most uint64, unit string) (uint64, bool) {
	c := r.cells[column]
	n, err := strconv.ParseUint(c.text, 10, 64)
	if err != nil || n < least || n > most {
		s.errorf(r, c, "%s %s is not a whole number of %s from %d to %d", column, shown(c.text), unit, least, most)
		return 0, false
	}
	return n, true
}

// allocated looks at what the sheet says is in use. It is never taken over: the ledger says what is allocated.
func (s *sheet) allocated(r *row, column, total string) {
	c, given := r.cells[column]
	if !given || r.broken || c.text == "0" {
		return
	}
	n, err := strconv.ParseUint(c.text, 10, 64)
	whole, _ := strconv.ParseUint(r.cells[total].text, 10, 64)
	switch {
	case err != nil:
		s.warnf(c, "%s %s is not a whole number; it is not used", column, shown(c.text))
	case n > whole:
		s.warnf(c, "%s %d is more than %s; it is not used", column, n, total)
	default:
		s.warnf(c, "%s %d is left out: what is allocated stands in the ledger", column, n)
	}
}

// state is what a machine begins with. What the store says of one that it knows stays.
func (s *sheet) state(r *row) []Field {
	c, given := r.cells["status"]
	if !given || r.broken || strings.EqualFold(c.text, "available") {
		return nil
	}
	s.warnf(c, "status %s is not \"available\": where the machine is new, it is cordoned, so that nothing is placed on it", shown(c.text))
	return []Field{{"state", text("cordoned")}}
}
