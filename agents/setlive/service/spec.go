package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"
)

// Spec is a service as wanted. The version is not part of it: that is decided by the link current alone.
type Spec struct {
	App         string
	Basedir     string            // absolute; what runs lies in <Basedir>/current
	RunAs       string            // user; "" for the user that the supervisor itself runs as
	Command     []string          // relative to the install; bin/launch when empty
	Env         map[string]string // beside PLATYPUS_APP, PLATYPUS_VERSION and PLATYPUS_CONFIG
	Config      []byte            // JSON that the file PLATYPUS_CONFIG will hold; {} when empty
	StopTimeout time.Duration     // after which a supervisor that stops it by itself kills; DefaultGrace when 0
}

// form is the form of the files that Install writes. Raising it makes services be written anew, not restarted.
const form = "1"

// Settings identifies everything beside the version that a process gets at its start: when it differs, the process
// must be restarted. How Config is laid out does not matter.
func (s Spec) Settings() string {
	return digest(s.App, s.Basedir, s.RunAs, s.command(), s.Env, string(canonical(s.Config)))
}

// Fingerprint identifies everything that Install writes.
func (s Spec) Fingerprint() string { return digest(form, s.Settings(), s.StopTimeout) }

func (s Spec) command() []string {
	if len(s.Command) == 0 {
		return []string{"bin/launch"}
	}
	return s.Command
}

func (s Spec) grace() time.Duration {
	if s.StopTimeout <= 0 {
		return DefaultGrace
	}
	return s.StopTimeout
}

var (
	appName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	userName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,31}$`)
	envName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// check refuses what could be mistaken by a shell, a path or a supervisor.
func (s Spec) check() error {
	switch {
	case !appName.MatchString(s.App) || bytes.Contains([]byte(s.App), []byte("..")):
		return fmt.Errorf("app name %q cannot be the name of a service", s.App)
	case !filepath.IsAbs(s.Basedir) || filepath.Clean(s.Basedir) != s.Basedir:
		return fmt.Errorf("basedir %q is not a clean absolute path", s.Basedir)
	case s.RunAs != "" && !userName.MatchString(s.RunAs):
		return fmt.Errorf("run_as %q is not the name of a user", s.RunAs)
	}
	for name, value := range s.Env {
		if !envName.MatchString(name) || bytes.IndexByte([]byte(value), 0) >= 0 {
			return fmt.Errorf("environment variable %q cannot be set", name)
		}
	}
	for _, line := range append(s.command(), s.Basedir) {
		if line == "" || bytes.ContainsAny([]byte(line), "\x00\n") {
			return errors.New("command and basedir must be non-empty and of one line")
		}
	}
	return nil
}

// canonical returns the JSON with its white space and the order of its members settled, and {} for nothing.
func canonical(config []byte) []byte {
	if len(bytes.TrimSpace(config)) == 0 {
		return []byte("{}")
	}
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return config
	}
	settled, err := json.Marshal(value)
	if err != nil {
		return config
	}
	return settled
}

func digest(values ...any) string {
	data, err := json.Marshal(values)
	if err != nil {
		panic(err) // strings, maps of strings and numbers only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
