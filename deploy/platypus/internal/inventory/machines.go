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

// Limits of one machine. A number beyond them is a typing error.
const (
	maxCores  = intent.MaxCores
	minMemory = uint64(intent.MB)      // bytes
	maxMemory = uint64(intent.MaxSize) // bytes
)

var machineColumns = columnSpec{
	noun:     "machines",
	required: []string{"region", "address", "memory_total", "cores_total"},
	optional: []string{"scheme", "datacenter", "http_auth_username", "http_auth_password", "wait_time", "token",
		"tls_config_address", "tls_config_ca_path", "tls_config_ca_file", "tls_config_cert_file", "tls_config_key_file",
		"tls_config_insecure_skip_verify", "memory_allocated", "cores_allocated", "status"},
}

// ReadMachines reads a sheet of machines with the 19 columns of machineColumns. Regions are the allowed codes; if
// empty, every code is allowed. An error means that the sheet cannot be read at all.
func ReadMachines(data []byte, regions []string) (Result, error) {
	s, err := readSheet(data, machineColumns)
	if err != nil {
		return Result{}, err
	}
	var records []Record
	addresses, names := map[string]int{}, map[string]int{}
	shared := s.sharedHosts()
	for _, r := range s.rows {
		if r.invalid {
			continue
		}
		s.checkIgnored(r)
		region := s.region(r, regions)
		host, port := s.parseAddress(r)
		fields := s.parseCapacity(r)
		s.checkAllocated(r, "memory_allocated", "memory_total")
		s.checkAllocated(r, "cores_allocated", "cores_total")
		initial := s.initialState(r)
		if r.invalid || !s.dropDuplicate(addresses, r, r.cells["address"], r.cells["address"].text) {
			continue
		}
		name, err := nodeName(host, port, shared[host] || loopback(host))
		if err != nil {
			s.errorf(r, r.cells["address"], "no name can be made of address %s: %v", quoteCell(r.cells["address"].text), err)
			continue
		}
		if !s.dropDuplicate(names, r, r.cells["address"], string(name)) {
			continue
		}
		fields = append(fields, Field{"address", jsonString(r.cells["address"].text)})
		if dc := r.cells["datacenter"].text; dc != "" {
			fields = append(fields, Field{"datacenter", jsonString(dc)})
		}
		records = append(records, Record{
			Key: "machines/" + string(region) + "/" + string(name), Line: r.line, Fields: fields, Initial: initial,
		})
	}
	return s.read(records), nil
}

// sharedHosts returns the hosts that more than one valid row names: only the port distinguishes their machines.
func (s *sheet) sharedHosts() map[string]bool {
	ports, shared := map[string]string{}, map[string]bool{}
	for _, r := range s.rows {
		host, port, err := net.SplitHostPort(r.cells["address"].text)
		if err != nil || r.invalid {
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
	code := s.parseName(r, "region")
	if r.invalid || len(regions) == 0 || slices.Contains(regions, string(code)) {
		return code
	}
	hint := ":"
	if near := closestName(c.text, regions); near != "" {
		hint = fmt.Sprintf(": is %s meant?", near)
	}
	s.errorf(r, c, "region %s is not declared%s There are %s", quoteCell(c.text), hint, strings.Join(regions, " "))
	return code
}

// parseAddress reads host:port. Its messages never repeat text that may contain credentials.
func (s *sheet) parseAddress(r *row) (host, port string) {
	c := r.cells["address"]
	if strings.ContainsAny(c.text, "@/") {
		s.errorf(r, c, "cell \"address\" holds more than host:port, such as a scheme or a user")
		return "", ""
	}
	host, port, err := net.SplitHostPort(c.text)
	number, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || host == "" || number == 0 {
		s.errorf(r, c, "address %s is not host:port with a port from 1 to 65535", quoteCell(c.text))
	}
	return host, port
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// nodeName returns the name of the machine in keys: its host name, under which its agents report. A shared host gets
// the port as suffix. Colons of IPv6 become dashes.
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

func (s *sheet) parseCapacity(r *row) []Field {
	cores, _ := s.parseNumber(r, "cores_total", 1, maxCores, "cores")
	memory, _ := s.parseNumber(r, "memory_total", minMemory, maxMemory, "bytes")
	return []Field{
		{"cores", json.RawMessage(strconv.FormatUint(cores, 10))},
		{"memory", jsonString(intent.Size(memory).String())},
	}
}

func (s *sheet) parseNumber(r *row, column string, least, most uint64, unit string) (uint64, bool) {
	c := r.cells[column]
	n, err := strconv.ParseUint(c.text, 10, 64)
	if err != nil || n < least || n > most {
		s.errorf(r, c, "%s %s is not a whole number of %s from %d to %d", column, quoteCell(c.text), unit, least, most)
		return 0, false
	}
	return n, true
}

// checkAllocated validates the usage columns. They are never imported: the ledger records what is allocated.
func (s *sheet) checkAllocated(r *row, column, total string) {
	c, given := r.cells[column]
	if !given || r.invalid || c.text == "0" {
		return
	}
	n, err := strconv.ParseUint(c.text, 10, 64)
	whole, _ := strconv.ParseUint(r.cells[total].text, 10, 64)
	switch {
	case err != nil:
		s.warnf(c, "%s %s is not a whole number; it is not used", column, quoteCell(c.text))
	case n > whole:
		s.warnf(c, "%s %d is more than %s; it is not used", column, n, total)
	default:
		s.warnf(c, "%s %d is left out: what is allocated stands in the ledger", column, n)
	}
}

// initialState returns the state of a new machine. A known machine keeps its stored state.
func (s *sheet) initialState(r *row) []Field {
	c, given := r.cells["status"]
	if !given || r.invalid || strings.EqualFold(c.text, "available") {
		return nil
	}
	s.warnf(c, "status %s is not \"available\": where the machine is new, it is cordoned, so that nothing is placed on it", quoteCell(c.text))
	return []Field{{"state", jsonString("cordoned")}}
}
