package intent

// Seeds is the prefix of all seeds.
func (t Tree) Seeds() Prefix { return t.intent.Join("seeds") }

// Seed is the key of a seed.
func (t Tree) Seed(name Name) string { return t.Seeds().Key(name) }

// Sites is the prefix of all sites.
func (t Tree) Sites() Prefix { return t.intent.Join("sites") }

// Site is the key of a site.
func (t Tree) Site(name Name) string { return t.Sites().Key(name) }

// Blobs is the prefix of all declared blobs.
func (t Tree) Blobs() Prefix { return t.intent.Join("blobs") }

// Blob is the key of a blob; digest is 64 hexadecimal digits.
func (t Tree) Blob(digest Name) string { return t.Blobs().Key(digest) }

// Replicas is the prefix of the seed replicas on nodes: <seed>/<node>, each a [Replica].
func (t Tree) Replicas() Prefix { return t.managed.Join("placement", "seeds") }

// Replica is the key of one node's replica of a seed.
func (t Tree) Replica(seed, node Name) string { return t.Replicas().Join(seed).Key(node) }

// Hosts is the prefix of the nodes that run seeds, each a [Host].
func (t Tree) Hosts() Prefix { return t.managed.Join("placement", "hosts") }

// Host is the key of one node that runs seeds.
func (t Tree) Host(node Name) string { return t.Hosts().Key(node) }

// Holders is the prefix of the blob copies: <digest>/<node>, each a [Holder].
func (t Tree) Holders() Prefix { return t.managed.Join("placement", "blobs") }

// Holder is the key by which a node records that it holds a blob.
func (t Tree) Holder(digest, node Name) string { return t.Holders().Join(digest).Key(node) }

// ReplicaState is the progress of a replica.
type ReplicaState string

// The states of a replica. Only a ready one is called.
const (
	ReplicaClaimed  ReplicaState = "claimed"
	ReplicaReady    ReplicaState = "ready"
	ReplicaDraining ReplicaState = "draining"
)

// Replica is a node's record of a seed that it holds. It ends with the node's session.
type Replica struct {
	State   ReplicaState `json:"state"`
	Digest  string       `json:"digest"`            // of the module that is ready, 64 hexadecimal digits
	Address string       `json:"address,omitempty"` // host:port that answers calls, with https:// before it where only certificates are answered
	Zone    string       `json:"zone,omitempty"`    // of the node: calls stay within it if possible
	Load    int          `json:"load,omitempty"`    // in percent of the target load of one replica
}

// Host is the record of a node that runs seeds. It ends with the node's session.
type Host struct {
	Address  string            `json:"address"` // the same, of the node; it also serves blobs
	Region   string            `json:"region,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Weight   int               `json:"weight,omitempty"`   // share of the seeds relative to other nodes; 1 if unset
	Memory   Size              `json:"memory,omitempty"`   // limit for all its seeds; no limit if unset
	Closed   bool              `json:"closed,omitempty"`   // accepts nothing new and hands over what it has
	Cordoned bool              `json:"cordoned,omitempty"` // accepts nothing new and keeps what it has
}

// Holder records that a node holds a complete blob.
type Holder struct {
	Size int64 `json:"size"`
}
