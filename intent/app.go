package intent

import (
	"encoding/json"
	"slices"
	"strings"
)

// Assignment assigns an app to a node: the value of nodes/<node>/<app>.
type Assignment struct {
	Cluster Name `json:"cluster"` // which cluster of the app this node belongs to; required
}

// Config is the configuration of one cluster of an app that developers write.
type Config struct {
	Versions   map[Name]Version `json:"versions,omitempty"`    // the versions that must be on disk; at most one is active
	MinNodes   int              `json:"min_nodes,omitempty"`   // nodes of the cluster that must stay healthy during a switch
	UserConfig json.RawMessage  `json:"user_config,omitempty"` // passed to the app unchanged, in the file PLATYPUS_CONFIG names
	OnConfig   OnConfig         `json:"on_config,omitempty"`   // how a running app learns of a change of user_config alone
	Restart    string           `json:"restart,omitempty"`     // any text; a change restarts a running app
}

// OnConfig is how a running app learns of a change of user_config alone: the file is updated in any case.
type OnConfig string

// The policies. Unset means restart.
const (
	OnConfigUnset   OnConfig = ""
	OnConfigRestart OnConfig = "restart"
	OnConfigNothing OnConfig = "nothing"     // the app reads the file whenever it wants
	OnConfigHUP     OnConfig = "signal:HUP"  // the app reads the file at this signal
	OnConfigUSR1    OnConfig = "signal:USR1" // the same
	OnConfigUSR2    OnConfig = "signal:USR2" // the same
)

// Signal returns the signal that a policy names, if any.
func (o OnConfig) Signal() (name string, ok bool) { return strings.CutPrefix(string(o), "signal:") }

// Status is the purpose of a version. Any word other than active means: keep it on disk.
type Status string

// The known statuses.
const (
	Active  Status = "active"  // the one version to run
	Prep    Status = "prep"    // only installed
	Stopped Status = "stopped" // only installed; it ran until the app was stopped
)

// Known reports whether the status has a meaning.
func (s Status) Known() bool { return s == Active || s == Prep || s == Stopped }

// Version is the declaration of one version. It is written as a bare status, or as an object with a digest.
type Version struct {
	Status Status `json:"status"`
	SHA256 string `json:"sha256,omitempty"` // of the artifact, 64 hexadecimal digits
}

// MarshalJSON writes the bare form if there is no digest.
func (v Version) MarshalJSON() ([]byte, error) {
	if v.SHA256 == "" {
		return json.Marshal(v.Status)
	}
	type object Version
	return json.Marshal(object(v))
}

// DeployConfig is the configuration of one cluster of an app that operators write. It controls what root does.
type DeployConfig struct {
	Basedir     string   `json:"basedir"`                // absolute path of the app's directory; required
	Ports       []Port   `json:"ports,omitempty"`        // to be opened in the firewall
	RunAs       string   `json:"run_as,omitempty"`       // user that the app runs as; root when empty
	Health      *Health  `json:"health,omitempty"`       // when the app counts as healthy; nil: when it stays up
	Require     Require  `json:"require,omitempty"`      // the proof of integrity that an artifact needs
	Keep        int      `json:"keep,omitempty"`         // installs to keep besides those in use; 0 means DefaultKeep
	StopTimeout Duration `json:"stop_timeout,omitempty"` // from TERM to KILL; 0 means DefaultStopTimeout
}

// Require is the proof of integrity that an artifact needs before it is installed.
type Require string

// The policies. Unset requires a digest for http and https, and nothing for file.
const (
	RequireUnset     Require = ""
	RequireNone      Require = "none"
	RequireDigest    Require = "digest"
	RequireSignature Require = "signature"
)

// Phases of an app's intent in which agents leave the app unchanged. A valid app has the empty phase.
const (
	PhaseInvalid    = "invalid"    // one of its values is unusable
	PhaseIncomplete = "incomplete" // a required key is absent
	PhaseHeld       = "held"       // an agent holds a removal
)

// App is the complete intent of one app on one node.
type App struct {
	Name    Name
	Cluster Name
	Config  Config
	Deploy  DeployConfig
	Phase   string // why nothing of the app may change, or ""
	Reason  string // the same in words, with key and position
	Index   uint64 // highest ModifyIndex of its values
	Created uint64 // CreateIndex of its assignment: the older app wins a port
}

// Sound reports whether the app is usable.
func (a App) Sound() bool { return a.Phase == "" }

// Active returns the version that must run, if any.
func (c Config) Active() (Name, bool) {
	for id, v := range c.Versions {
		if v.Status == Active {
			return id, true
		}
	}
	return "", false
}

// Wanted returns every version that must be on disk, sorted.
func (c Config) Wanted() []Name {
	ids := make([]Name, 0, len(c.Versions))
	for id := range c.Versions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Node is one complete reading of the intent of a node.
type Node struct {
	Name     Name
	Apps     []App    // sorted by name; unusable ones are included, with a phase
	Warnings Problems // problems of usable values
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
