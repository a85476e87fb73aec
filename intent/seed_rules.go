package intent

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of a seed's requests.
const (
	maxReplicas    = 10000
	maxSeedMemory  = Size(4 << 30) // the address space of a module
	minSeedMemory  = Size(64 << 10)
	maxSeedTimeout = time.Hour
	maxWaiting     = 100000
)

// digestOf returns the 64 digits of "sha256:…".
func digestOf(text string) (string, bool) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	return strings.ToLower(digits), ok && isDigest(digits)
}

func isDigest(digits string) bool {
	raw, err := hex.DecodeString(digits)
	return err == nil && len(raw) == 32
}

// memberPosition returns a member, or its object if it is absent, for error positions.
func (v *value) memberPosition(pointer, name string) (*value, string) {
	if m := v.memberNamed(name); m != nil {
		return m, pointer + "/" + name
	}
	return v, pointer
}

// memberErrorf returns a function that reports an error of one member.
func (p *parser) memberErrorf(v *value, pointer string) func(name, format string, args ...any) {
	return func(name, format string, args ...any) {
		m, where := v.memberPosition(pointer, name)
		p.errorf(m, where, format, args...)
	}
}

func (s *Seed) check(p *parser, v *value, pointer string) {
	complain := p.memberErrorf(v, pointer)
	s.SHA256 = strings.ToLower(strings.TrimPrefix(s.SHA256, "sha256:"))
	if why := s.sourceFault(); why != "" {
		complain("source", "%s", why)
	}
	if s.SHA256 != "" && !isDigest(s.SHA256) {
		complain("sha256", "sha256 %q is not 64 hexadecimal digits", truncate(s.SHA256))
	}
	if !slices.Contains([]ABI{ABIUnset, ABICommand, ABIReactor}, s.ABI) {
		complain("abi", "abi %q is not command or reactor", truncate(string(s.ABI)))
	}
	if !slices.Contains([]Freshness{FreshnessUnset, Warm, Reset, Fresh}, s.Instance) {
		complain("instance", "instance %q is not warm, reset or fresh", truncate(string(s.Instance)))
	}
	if s.ABI == ABICommand && s.Instance != FreshnessUnset && s.Instance != Fresh {
		complain("instance", "a command ends with its call: its instance can only be fresh")
	}
	s.checkSpread(complain)
	s.checkBounds(complain)
	s.checkGrants(p, v, pointer, complain)
}

// sourceFault says why a module source is invalid, or "".
func (s *Seed) sourceFault() string {
	if s.Source == "" {
		return "\"source\" is missing: \"sha256:…\" for a blob, or file:///… or https://… with \"sha256\""
	}
	if digest, ok := digestOf(s.Source); ok {
		if s.SHA256 != "" && s.SHA256 != digest {
			return "\"source\" and \"sha256\" name two digests: leave \"sha256\" out"
		}
		return ""
	}
	at, err := url.Parse(s.Source)
	switch {
	case strings.HasPrefix(s.Source, "sha256:"):
		return fmt.Sprintf("source %q is not sha256: and 64 hexadecimal digits", truncate(s.Source))
	case err != nil || at.User != nil || at.Fragment != "":
		return fmt.Sprintf("source %q is not a plain address", truncate(s.Source))
	case at.Scheme == "file" && (at.Host != "" || !path.IsAbs(at.Path) || path.Clean(at.Path) != at.Path):
		return fmt.Sprintf("source %q must be file:/// and a plain absolute path", truncate(s.Source))
	case at.Scheme != "file" && at.Scheme != "https":
		return fmt.Sprintf("source %q must begin with sha256:, file:/// or https://", truncate(s.Source))
	case at.Scheme == "https" && at.Hostname() == "":
		return fmt.Sprintf("source %q names no host", truncate(s.Source))
	case s.SHA256 == "":
		return "\"sha256\" is missing: what is fetched from an address must be pinned by its digest"
	}
	return ""
}

func (s *Seed) checkSpread(complain func(string, string, ...any)) {
	switch {
	case s.MinReplicas < 0 || s.MinReplicas > maxReplicas:
		complain("min_replicas", "min_replicas must be within 0 to %d", maxReplicas)
	case s.MaxReplicas < 0 || s.MaxReplicas > maxReplicas:
		complain("max_replicas", "max_replicas must be within 0 to %d", maxReplicas)
	case s.MaxReplicas > 0 && s.MaxReplicas < s.MinReplicas:
		complain("max_replicas", "max_replicas %d is less than min_replicas %d", s.MaxReplicas, s.MinReplicas)
	}
	if s.Over != "" {
		if _, err := ParseName(s.Over); err != nil {
			complain("spread", "spread names a label such as \"zone\": %v", err)
		}
	}
	if s.Region != "" {
		if _, err := ParseName(s.Region); err != nil {
			complain("region", "%v", err)
		}
	}
}

func (s *Seed) checkBounds(complain func(string, string, ...any)) {
	if s.Memory != 0 && (s.Memory < minSeedMemory || s.Memory > maxSeedMemory) {
		complain("memory", "memory must be within %v to %v", minSeedMemory, maxSeedMemory)
	}
	if time.Duration(s.Timeout) > maxSeedTimeout {
		complain("timeout", "timeout must be at most %v", maxSeedTimeout)
	}
	if s.Concurrency < 0 || s.Concurrency > maxWaiting {
		complain("concurrency", "concurrency must be within 0 to %d", maxWaiting)
	}
	if s.Queue < 0 || s.Queue > maxWaiting {
		complain("queue", "queue must be within 0 to %d", maxWaiting)
	}
}

func (s *Seed) checkGrants(p *parser, v *value, pointer string, complain func(string, string, ...any)) {
	for i, name := range s.Calls {
		if _, err := ParseName(name); err != nil && name != "*" {
			item := v.memberNamed("calls").items[i]
			p.errorf(item, pointer+"/calls/"+strconv.Itoa(i), "%v; or \"*\" for every seed", err)
		}
	}
	for name := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(s.Env[name], "\x00") {
			complain("env", "env %q: a name holds no \"=\", and neither name nor value a NUL", truncate(name))
		}
	}
}
