// Package wire is the protocol between the agent and its workers: the agent writes configurations to a worker's
// standard input, the worker writes reports to its standard output, each as a line of JSON. A configuration is
// complete; it replaces the previous one.
package wire

import (
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/seal"
	"github.com/platypus-platform/platypus/intent"
)

// Config is the complete configuration of a worker.
type Config struct {
	Node   string `json:"node"`
	Zone   string `json:"zone,omitempty"`
	Blobs  string `json:"blobs"`            // directory of this node's blobs
	Cache  string `json:"cache"`            // directory of compiled code, private to the worker
	Memory int64  `json:"memory,omitempty"` // limit in bytes of all instances together; 0 for none
	// Calm is how long a seed must have had less to do before it gives replicas and idle instances back.
	Calm time.Duration `json:"calm,omitempty"`
	// CompileTime is the processor time that any module may take to be compiled; large modules get more.
	CompileTime time.Duration `json:"compile,omitempty"`
	Seeds       []Seed        `json:"seeds"`
	Sites       []Site        `json:"sites,omitempty"`
	Routes      Routes        `json:"routes,omitempty"` // other nodes that have seeds ready
	TLS         TLS           `json:"sealed"`
}

// TLS is the TLS configuration of a worker. It is empty without certificates.
type TLS struct {
	Identity     *seal.PublicIdentity `json:"proof,omitempty"`   // what the node presents; nil without certificates
	UploadSocket string               `json:"uploads,omitempty"` // the agent's socket, to which authenticated uploads are forwarded
}

// Files that a worker inherits besides the standard ones. Its arguments name them in order.
const (
	PlainListener = "plain"     // listener without TLS
	TLSListener   = "nodes"     // listener for clients with a certificate
	Activity      = "notes"     // file of active seeds, read by the agent after a crash
	SignRequests  = "questions" // pipe of signing requests
	SignReplies   = "answers"   // pipe of signatures
)

// Seed is a seed that the worker must run.
type Seed struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Seed   intent.Seed
}

// Site is a site that the worker must serve.
type Site struct {
	Name string `json:"name"`
	Site intent.Site
	// Peers hold the manifest, and probably the files, while this node lacks some of them.
	Peers []Peer `json:"peers,omitempty"`
}

// Routes are the other nodes that have a seed ready, by seed.
type Routes map[string][]Peer

// Peer is a node that answers calls of a seed.
type Peer struct {
	Node    string `json:"node"`
	Address string `json:"address"` // host:port, with the prefix https:// if a certificate is required
	Zone    string `json:"zone,omitempty"`
}

// Report is the state of a worker, sent at least every [ReportInterval].
type Report struct {
	Seeds map[string]Status `json:"seeds"`
	Sites map[string]string `json:"sites,omitempty"` // what is wrong with a site, or ""
}

// ReportInterval is how often a worker reports without changes. A worker that does not report for ReportTimeout is
// stuck, and is killed.
const (
	ReportInterval = time.Second
	ReportTimeout  = 10 * time.Second
)

// Status is the state of one seed of a worker.
type Status struct {
	Digest string `json:"digest"`
	State  State  `json:"state"`
	Stage  string `json:"stage,omitempty"` // what a loading seed waits for
	Error  string `json:"error,omitempty"`
	Load   Load   `json:"load"`
	ABI    string `json:"abi,omitempty"`
	Serves bool   `json:"serves,omitempty"` // a module answers calls, maybe the previous one
	// Address is where the worker listens; the agent fills it in.
	Address string `json:"-"`
}

// State is the load state of a seed.
type State string

// The load states.
const (
	Loading State = "loading"
	Ready   State = "ready"
	Failed  State = "failed"
)

// Load is the load of a seed. The counters only grow while the worker lives.
type Load struct {
	InFlight   int    `json:"in_flight"`
	Queued     int    `json:"queued"`
	TargetLoad int    `json:"wants"` // percent of one replica's target, in steps; it falls only after Config.Calm
	Calls      uint64 `json:"calls"`
	Failed     uint64 `json:"failed"`
	Refused    uint64 `json:"refused"`
}
