package intent

import (
	"encoding/json"
	"slices"
	"strings"
)

// Assignment puts an app on a node: the value of nodes/<node>/<app>.
type Assignment struct {
	Cluster Name `json:"cluster"` // which cluster of the app this node belongs to; required
}

// Config is what developers say of one cluster of an app.
type Config struct {
	Versions   map[Name]Version `json:"versions,omitempty"`    // all that shall be on disk; at most one of them active
	MinNodes   int              `json:"min_nodes,omitempty"`   // nodes of the cluster that must stay healthy during a switch
	UserConfig json.RawMessage  `json:"user_config,omitempty"` // handed to the app unread, in the file PLATYPUS_CONFIG names
	OnConfig   OnConfig         `json:"on_config,omitempty"`   // what a running app gets when only user_config changes
	Restart    string           `json:"restart,omitempty"`     // any text; when it changes, a running app is restarted
}

// OnConfig is what a running app gets when only its user_config changes: the file has the new one in any case.
type OnConfig string

// The policies. Unset means a restart.
const (
	OnConfigUnset   OnConfig = ""
	OnConfigRestart OnConfig = "restart"
	OnConfigNothing OnConfig = "nothing"     // it reads the file when it pleases
	OnConfigHUP     OnConfig = "signal:HUP"  // it reads the file at this signal
	OnConfigUSR1    OnConfig = "signal:USR1" // the same
	OnConfigUSR2    OnConfig = "signal:USR2" // the same
)

// Signal returns the signal that a policy names, if it names one.
func (o OnConfig) Signal() (name string, ok bool) { return strings.CutPrefix(string(o), "signal:") }

// Status is what a version is for. Any other word than active means: have it on disk.
type Status string

// The statuses people use.
const (
	Active  Status = "active"  // the one version to run
	Prep    Status = "prep"    // only to be installed
	Stopped Status = "stopped" // only to be installed; it is the one that ran until the app was stopped
)

// Known reports whether it is one of the statuses that have a meaning.
func (s Status) Known() bool { return s == Active || s == Prep || s == Stopped }

// Version is how one version is wanted. It is written as a bare status, or as an object with a digest.
type Version struct {
	Status Status `json:"status"`
	SHA256 string `json:"sha256,omitempty"` // of the artifact, 64 hexadecimal digits
}

// MarshalJSON writes the bare form when there is no digest.
func (v Version) MarshalJSON() ([]byte, error) {
	if v.SHA256 == "" {
		return json.Marshal(v.Status)
	}
	type object Version
	return json.Marshal(object(v))
}

// DeployConfig is what operators say of one cluster of an app. It steers what root does.
type DeployConfig struct {
	Basedir     string   `json:"basedir"`                // absolute path that everything of the app lies under; required
	Ports       []Port   `json:"ports,omitempty"`        // to be opened in the firewall
	RunAs       string   `json:"run_as,omitempty"`       // user that the app runs as; root when empty
	Health      *Health  `json:"health,omitempty"`       // when the app counts as healthy; nil: when it stays up
	Require     Require  `json:"require,omitempty"`      // what an artifact must come with
	Keep        int      `json:"keep,omitempty"`         // installs to keep besides those in use; 0 means DefaultKeep
	StopTimeout Duration `json:"stop_timeout,omitempty"` // from TERM to KILL; 0 means DefaultStopTimeout
}

// Require is what must vouch for an artifact before it is installed.
type Require string

// The policies. Unset means a digest for http and https, and nothing for file.
const (
	RequireUnset     Require = ""
	RequireNone      Require = "none"
	RequireDigest    Require = "digest"
	RequireSignature Require = "signature"
)

// Phases of an app's intent that keep agents from touching the app. A sound app has the empty phase.
const (
	PhaseInvalid    = "invalid"    // a value of it cannot be used
	PhaseIncomplete = "incomplete" // a key that it needs is absent
	PhaseHeld       = "held"       // an agent holds back a removal
)

// App is all that intent says of one app on one node.
type App struct {
	Name    Name
	Cluster Name
	Config  Config
	Deploy  DeployConfig
	Phase   string // why nothing of the app may change, or ""
	Reason  string // the same in words, with key and place
	Index   uint64 // highest ModifyIndex of the values it was read from
	Created uint64 // CreateIndex of its assignment: the older claim to a port wins
}

// Sound reports whether the app may be acted upon.
func (a App) Sound() bool { return a.Phase == "" }

// Active returns the version that shall run, if one shall.
func (c Config) Active() (Name, bool) {
	for id, v := range c.Versions {
		if v.Status == Active {
			return id, true
		}
	}
	return "", false
}

// Wanted returns every version that shall be on disk, sorted.
func (c Config) Wanted() []Name {
	ids := make([]Name, 0, len(c.Versions))
	for id := range c.Versions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Node is one complete reading of a node's intent.
type Node struct {
	Name     Name
	Apps     []App    // sorted by name; unusable ones are here too, with a phase
	Warnings Problems // what could be used all the same
	Index    uint64   // of the store, when it was read
}

// App returns the app of that name, if the node has it.
func (n Node) App(name Name) (App, bool) {
	for _, a := range n.Apps {
		if a.Name == name {
			return a, true
		}
	}
	return App{}, false
}
