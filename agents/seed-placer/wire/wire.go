// Package wire is what the agent and its workers say to each other: the agent writes tables to a worker's standard
// input, the worker reports to its standard output, each a line of JSON. A table says all that the worker shall do; it
// replaces the one before.
package wire

import (
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/seal"
	"github.com/platypus-platform/platypus/intent"
)

// Config is everything that a worker shall do.
type Config struct {
	Node   string `json:"node"`
	Zone   string `json:"zone,omitempty"`
	Blobs  string `json:"blobs"`            // folder of the blobs of this node
	Cache  string `json:"cache"`            // folder of compiled code, the worker's own
	Memory int64  `json:"memory,omitempty"` // bytes that the instances of all seeds may have together; 0 for no bound
	// Calm is how long a seed must have had less to do before it gives replicas and idle instances back.
	Calm time.Duration `json:"calm,omitempty"`
	// CompileTime is the processor time that any module may take to be compiled; large modules get more.
	CompileTime time.Duration `json:"compile,omitempty"`
	Seeds       []Seed        `json:"seeds"`
	Sites       []Site        `json:"sites,omitempty"`
	Routes      Routes        `json:"routes,omitempty"` // where else seeds are ready
	TLS         TLS           `json:"sealed"`
}

// TLS is what a worker needs where nodes have certificates.
type TLS struct {
	Identity     *seal.PublicIdentity `json:"proof,omitempty"`   // what the node shows; nil: it has none
	UploadSocket string               `json:"uploads,omitempty"` // the agent's socket, to which blobs are handed that come with a certificate
}

// What a worker finds open besides its three standard files, in the order in which its arguments name them.
const (
	PlainListener = "plain"     // the listener for everybody
	TLSListener   = "nodes"     // the listener for who has a certificate
	Activity      = "notes"     // what the worker is at work on, for the agent to see when it has ended
	SignRequests  = "questions" // where to ask for signatures
	SignReplies   = "answers"   // where they come from
)

// Seed is one that the worker shall have ready.
type Seed struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Seed   intent.Seed
}

// Site is one that the worker shall serve.
type Site struct {
	Name string `json:"name"`
	Site intent.Site
	// Peers hold the manifest, and likely the files, for as long as this node does not have all of them.
	Peers []Peer `json:"peers,omitempty"`
}

// Routes are, by seed, the other nodes that have it ready.
type Routes map[string][]Peer

// Peer is a node that answers calls of a seed.
type Peer struct {
	Node    string `json:"node"`
	Address string `json:"address"` // host:port, with https:// before it where only certificates are answered
	Zone    string `json:"zone,omitempty"`
}

// Report is what a worker says of itself, at least every [Beat].
type Report struct {
	Seeds map[string]Status `json:"seeds"`
	Sites map[string]string `json:"sites,omitempty"` // what is wrong with a site, or ""
}

// ReportInterval is how often a worker reports when nothing changes; one that says nothing for Silence is stuck, and is killed.
const (
	ReportInterval = time.Second
	ReportTimeout  = 10 * time.Second
)

// Status is how one seed of a worker is.
type Status struct {
	Digest string `json:"digest"`
	State  State  `json:"state"`
	Stage  string `json:"stage,omitempty"` // what a loading one waits for
	Error  string `json:"error,omitempty"`
	Load   Load   `json:"load"`
	ABI    string `json:"abi,omitempty"`
	Serves bool   `json:"serves,omitempty"` // a module answers, maybe one of before
	// Address is where the worker listens; the agent fills it in.
	Address string `json:"-"`
}

// State is how far a seed of a worker is.
type State string

// The states.
const (
	Loading State = "loading"
	Ready   State = "ready"
	Failed  State = "failed"
)

// Load is how much a seed has to do. The counters only grow while the worker lives.
type Load struct {
	InFlight   int    `json:"in_flight"`
	Queued     int    `json:"queued"`
	TargetLoad int    `json:"wants"` // percent of what one replica should have to do, in steps; it falls a minute after the load
	Calls      uint64 `json:"calls"`
	Failed     uint64 `json:"failed"`
	Refused    uint64 `json:"refused"`
}
