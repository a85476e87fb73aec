package service

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Spec is a service as wanted: <Basedir>/current/bin/launch, kept running. The version is not part of it: that is
// decided by the link current alone. Equal specs are the same service.
type Spec struct {
	App         string
	Basedir     string        // absolute
	RunAs       string        // user; "" for the user that the supervisor itself runs as
	Config      string        // JSON that the file PLATYPUS_CONFIG will hold; {} when empty
	StopTimeout time.Duration // from TERM to KILL; DefaultGrace when 0
	OnConfig    string        `json:",omitempty"` // what follows when only Config differs: restart when "", nothing, or signal:HUP
	Restart     string        `json:",omitempty"` // a person's text; another one means another process
	Node        string        `json:"-"`          // whose service it is; recorded with it, and part of no digest
}

// form is the form of the files that Install writes. Raising it makes services be written anew, not restarted.
const form = "4"

// Settings identifies everything beside the version that a process gets at its start: when it differs, the process
// must be restarted. How Config is laid out does not matter.
func (s Spec) Settings() string {
	return Digest(append([]any{s.App, s.Basedir, s.RunAs, string(s.config())}, s.restart()...)...)
}

// Core identifies what of Settings is not Config: what no signal can tell a process that runs.
func (s Spec) Core() string {
	return Digest(append([]any{s.App, s.Basedir, s.RunAs}, s.restart()...)...)
}

// restart is Restart as a part of a digest. Without it the digest is that of releases which did not know it.
func (s Spec) restart() []any {
	if s.Restart == "" {
		return nil
	}
	return []any{"restart", s.Restart}
}

// Fingerprint identifies everything that Install writes, but for whose it is.
func (s Spec) Fingerprint() string { return Digest(form, s.Settings(), s.StopTimeout) }

// Grace is how long the service has from TERM to KILL.
func (s Spec) Grace() time.Duration {
	if s.StopTimeout <= 0 {
		return DefaultGrace
	}
	return s.StopTimeout
}

var (
	appName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,31}$`)
)

// check refuses what could be mistaken by a shell, a path or a supervisor.
func (s Spec) check() error {
	switch {
	case !appName.MatchString(s.App) || strings.Contains(s.App, ".."):
		return fmt.Errorf("app name %q cannot be the name of a service", s.App)
	case !filepath.IsAbs(s.Basedir) || filepath.Clean(s.Basedir) != s.Basedir || strings.ContainsAny(s.Basedir, "\x00\n"):
		return fmt.Errorf("basedir %q is not a clean absolute path", s.Basedir)
	case s.RunAs != "" && !userName.MatchString(s.RunAs):
		return fmt.Errorf("run_as %q is not the name of a user", s.RunAs)
	}
	return nil
}

// config returns Config with its white space and the order of its members settled.
func (s Spec) config() []byte { return intent.SettleConfig([]byte(s.Config)) }

// Digest returns a short word that differs when any of the values does, as JSON shows them.
func Digest(values ...any) string {
	data, err := json.Marshal(values)
	if err != nil {
		data = fmt.Append(nil, values...)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
