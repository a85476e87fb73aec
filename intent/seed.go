package intent

import "time"

// Defaults of a seed.
const (
	DefaultSeedMemory      = Size(64 << 20)
	DefaultSeedTimeout     = 10 * time.Second
	DefaultSeedConcurrency = 16
	DefaultSeedQueue       = 64
)

// Seed is a WebAssembly module that nodes keep ready for calls: the value of seeds/<name>.
type Seed struct {
	Module
	Replication
	Bounds
	Grants
	Instance Freshness `json:"instance,omitempty"` // what a call may see of the previous call; default by ABI
}

// Module identifies the module of a seed. It is pinned: only a module with this digest runs.
type Module struct {
	Source string `json:"source"`           // "sha256:…" for a blob, "file:///…" or "https://…"; required
	SHA256 string `json:"sha256,omitempty"` // of the module, 64 hexadecimal digits; required unless the source is a digest
	ABI    ABI    `json:"abi,omitempty"`    // derived from the imports and exports of the module if unset
}

// Replication declares on how many nodes a seed is ready, and on which.
type Replication struct {
	MinReplicas int               `json:"min_replicas,omitempty"` // 1 when unset
	MaxReplicas int               `json:"max_replicas,omitempty"` // the limit for scaling with load; min_replicas if unset
	Region      string            `json:"region,omitempty"`       // only nodes of this region
	Labels      map[string]string `json:"labels,omitempty"`       // only nodes with all of these
	Over        string            `json:"spread,omitempty"`       // label over whose values replicas are distributed, such as "zone"
}

// Bounds are hard limits on calls and on the queue.
type Bounds struct {
	Memory      Size     `json:"memory,omitempty"`      // linear memory of one instance; DefaultSeedMemory
	Timeout     Duration `json:"timeout,omitempty"`     // of one call; DefaultSeedTimeout
	Concurrency int      `json:"concurrency,omitempty"` // calls at once on one node; DefaultSeedConcurrency
	Queue       int      `json:"queue,omitempty"`       // calls that may wait on one node; DefaultSeedQueue
}

// Grants are what a seed may access. Everything else is denied.
type Grants struct {
	Egress  []Egress          `json:"egress,omitempty"`  // addresses that it may request
	Calls   []string          `json:"calls,omitempty"`   // seeds that it may call; "*" for all
	Env     map[string]string `json:"env,omitempty"`     // environment variables; not for secrets
	Trusted bool              `json:"trusted,omitempty"` // runs in its own process, at full speed, without the check that ends an endless loop
}

// ABI is how a module is called.
type ABI string

// The ABIs.
const (
	ABIUnset   ABI = ""
	ABICommand ABI = "command" // WASI preview 1: _start, standard input and output; HTTP as CGI
	ABIReactor ABI = "reactor" // exported functions () -> i32 that take their input through the import module pln
)

// Freshness is what a call may see of the previous call.
type Freshness string

// How fresh an instance is.
const (
	FreshnessUnset Freshness = ""
	Warm           Freshness = "warm"  // whatever the module left in its memory
	Reset          Freshness = "reset" // the memory after the first, warming call
	Fresh          Freshness = "fresh" // nothing
)

// PhaseQuarantined is the phase of a seed that repeatedly crashed its process: it is not run until its intent or its
// module changes.
const PhaseQuarantined = "quarantined"

// Digest returns the required digest of the module, 64 hexadecimal digits.
func (m Module) Digest() string {
	if digest, ok := digestOf(m.Source); ok {
		return digest
	}
	return m.SHA256
}

// Replicas returns the minimum and maximum number of replicas.
func (s Replication) Replicas() (least, most int) {
	least = max(1, s.MinReplicas)
	return least, max(least, s.MaxReplicas)
}

// Or returns the limits with defaults for unset ones.
func (b Bounds) Or() Bounds {
	if b.Memory == 0 {
		b.Memory = DefaultSeedMemory
	}
	if b.Timeout == 0 {
		b.Timeout = Duration(DefaultSeedTimeout)
	}
	if b.Concurrency == 0 {
		b.Concurrency = DefaultSeedConcurrency
	}
	if b.Queue == 0 {
		b.Queue = DefaultSeedQueue
	}
	return b
}

// Need returns the memory of one instance, including its saved copy.
func (s Seed) Need() Size {
	need := s.Bounds.Or().Memory
	if s.Instance == Reset {
		need *= 2 // a copy of its initial memory is kept
	}
	return need
}

// Allows reports whether the seed may call another.
func (g Grants) Allows(seed string) bool {
	for _, c := range g.Calls {
		if c == "*" || c == seed {
			return true
		}
	}
	return false
}

// SeedOf reads the value of a seed's key. If the problems contain an error, the seed must not be used.
func SeedOf(key string, data []byte) (Seed, Problems) {
	var s Seed
	return s, decode(key, data, &s)
}
