package intent

// Health defines when an app counts as healthy. One passed probe is not enough: the same process must pass Successes
// probes in a row over at least MinHealthy, within Deadline of its start.
type Health struct {
	Type       string   `json:"type,omitempty"`        // http, tcp, exec or up; inferred from the members given
	Path       string   `json:"path,omitempty"`        // http: "/" when unset; 2xx and 3xx pass
	Port       int      `json:"port,omitempty"`        // http and tcp: on the loopback address
	Command    []string `json:"command,omitempty"`     // exec: relative to the install, exit 0 passes
	Interval   Duration `json:"interval,omitempty"`    // between two probes; DefaultInterval
	Timeout    Duration `json:"timeout,omitempty"`     // of one probe; DefaultTimeout
	Successes  int      `json:"successes,omitempty"`   // in a row; DefaultSuccesses
	MinHealthy Duration `json:"min_healthy,omitempty"` // from the first success to the last; DefaultMinHealthy
	Deadline   Duration `json:"deadline,omitempty"`    // from the start of the process; DefaultDeadline
}

// The types of probe.
const (
	HealthHTTP = "http"
	HealthTCP  = "tcp"
	HealthExec = "exec"
	HealthUp   = "up" // the process stays up
)

func (h *Health) check(p *parser, v *value, pointer string) {
	if h.Type == "" {
		h.Type = h.inferType()
	}
	switch h.Type {
	case HealthHTTP, HealthTCP:
		if h.Port < 1 || h.Port > 65535 {
			p.errorf(v, pointer, "a health check by %s needs \"port\", within 1 to 65535", h.Type)
		}
	case HealthExec:
		if len(h.Command) == 0 || h.Command[0] == "" {
			p.errorf(v, pointer, "a health check by exec needs \"command\", such as [\"bin/check\"]")
		}
	case HealthUp:
	default:
		p.errorf(v.memberNamed("type"), pointer+"/type", "type %q is not http, tcp, exec or up", truncate(h.Type))
	}
	if h.Path != "" && h.Path[0] != '/' {
		p.errorf(v.memberNamed("path"), pointer+"/path", "path %q must begin with /", truncate(h.Path))
	}
	if h.Successes < 0 || h.Successes > 1000 {
		p.errorf(v.memberNamed("successes"), pointer+"/successes", "successes must be within 0 to 1000")
	}
}

func (h *Health) inferType() string {
	switch {
	case len(h.Command) > 0:
		return HealthExec
	case h.Path != "":
		return HealthHTTP
	case h.Port != 0:
		return HealthTCP
	}
	return HealthUp
}
