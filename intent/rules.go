package intent

import (
	"encoding/hex"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
)

func (a *Assignment) check(p *parser, v *value, pointer string) {
	if a.Cluster == "" {
		p.errorf(v, pointer, "\"cluster\" is missing: the name of a cluster such as \"production\"")
	}
}

func (c *Config) check(p *parser, v *value, pointer string) {
	if c.Versions == nil {
		c.Versions = map[Name]Version{}
		if hasUnknownMember(v, reflect.TypeFor[Config]()) || v.memberNamed("versions") != nil {
			p.errorf(v, pointer, "\"versions\" is missing: write {} when no version shall be there")
		}
	}
	if c.MinNodes < 0 {
		p.errorf(v.memberNamed("min_nodes"), pointer+"/min_nodes", "min_nodes must not be negative")
	}
	switch c.OnConfig {
	case OnConfigUnset, OnConfigRestart, OnConfigNothing, OnConfigHUP, OnConfigUSR1, OnConfigUSR2:
	default:
		p.errorf(v.memberNamed("on_config"), pointer+"/on_config", "on_config %q is not restart, nothing, signal:HUP, signal:USR1 or signal:USR2",
			truncate(string(c.OnConfig)))
	}
	if len(c.Restart) > maxRestartText {
		p.errorf(v.memberNamed("restart"), pointer+"/restart", "restart has %d bytes: at most %d are allowed", len(c.Restart), maxRestartText)
	}
	var active []string
	for _, id := range c.Wanted() {
		if c.Versions[id].Status == Active {
			active = append(active, string(id))
		}
	}
	if len(active) > 1 {
		p.errorf(v.memberNamed("versions"), pointer+"/versions", "versions %s are all active: at most one may be", strings.Join(active, ", "))
	}
}

// maxRestartText limits the text of restart in bytes: a time or a reason.
const maxRestartText = 256

// hasUnknownMember reports whether an object has a member that its type does not have: a missing member may be
// misspelt, and must not count as absent.
func hasUnknownMember(v *value, noun reflect.Type) bool {
	known := fieldIndexes(noun)
	return slices.ContainsFunc(v.members, func(m member) bool { _, ok := known[foldName(m.name)]; return !ok })
}

func (ver *Version) read(p *parser, v *value, pointer string) {
	type object Version // without this method
	switch v.kind {
	case '"':
		ver.Status = Status(v.text)
	case '{':
		p.decodeObject(v, pointer, reflect.ValueOf((*object)(ver)).Elem())
	default:
		p.expectKind(v, pointer, '"', "a status or an object with \"status\" and \"sha256\"")
		return
	}
	if !ver.Status.Known() {
		p.warnf(v, pointer, "status %q is unknown and means \"prep\": only \"active\" runs", truncate(string(ver.Status)))
	}
	ver.SHA256 = strings.ToLower(strings.TrimPrefix(ver.SHA256, "sha256:"))
	if raw, err := hex.DecodeString(ver.SHA256); err != nil || len(raw) != 32 && len(raw) != 0 {
		p.errorf(v.memberNamed("sha256"), pointer+"/sha256", "sha256 %q is not 64 hexadecimal digits", truncate(ver.SHA256))
	}
}

func (c *DeployConfig) check(p *parser, v *value, pointer string) {
	at := func(name string) (*value, string) {
		if m := v.memberNamed(name); m != nil {
			return m, pointer + "/" + name
		}
		return v, pointer
	}
	complain := func(name, format string, args ...any) {
		m, where := at(name)
		p.errorf(m, where, format, args...)
	}
	if why := basedirFault(c.Basedir); why != "" {
		complain("basedir", "%s", why)
	}
	c.Basedir = path.Clean(c.Basedir)
	switch c.Require {
	case RequireUnset, RequireNone, RequireDigest, RequireSignature:
	default:
		complain("require", "require %q is not none, digest or signature", truncate(string(c.Require)))
	}
	if c.RunAs != "" && !userName(c.RunAs) {
		complain("run_as", "run_as %q is not a user name", truncate(c.RunAs))
	}
	if c.Keep < 0 || c.Keep > 1000 {
		complain("keep", "keep must be within 0 to 1000")
	}
}

// maxBasedir leaves room below a basedir within the Linux path limit of 4096 bytes.
const maxBasedir = 1024

// basedirFault says why a directory cannot belong to an app, or "".
func basedirFault(dir string) string {
	clean := path.Clean(dir)
	switch {
	case dir == "":
		return "\"basedir\" is missing: an absolute path such as \"/srv/slug\""
	case len(dir) > maxBasedir:
		return fmt.Sprintf("basedir of %d bytes is too long: at most %d are allowed", len(dir), maxBasedir)
	case !path.IsAbs(dir):
		return fmt.Sprintf("basedir %q must be an absolute path", dir)
	case clean != dir && clean+"/" != dir || !needsNoQuoting(dir):
		return fmt.Sprintf("basedir %q must be a plain path without \"..\", \"//\", spaces or control characters", dir)
	}
	top, below, _ := strings.Cut(clean[1:], "/")
	if systemDirs[top] || below == "" && (sharedDirs[top] || top == "") {
		return fmt.Sprintf("basedir %q belongs to the system: choose a directory of the app's own", dir)
	}
	return ""
}

// systemDirs are the directories below / that apps must not use; sharedDirs may contain app directories, but never are
// one.
var (
	systemDirs = map[string]bool{"bin": true, "boot": true, "dev": true, "etc": true, "lib": true, "lib32": true,
		"lib64": true, "proc": true, "sbin": true, "sys": true}
	sharedDirs = map[string]bool{"home": true, "media": true, "mnt": true, "opt": true, "root": true, "run": true,
		"srv": true, "tmp": true, "usr": true, "var": true}
)

// needsNoQuoting reports whether a path can be written into run scripts and unit files without quoting.
func needsNoQuoting(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '/' && c != '.' && c != '_' && c != '-' && c != '+' && c != '@' {
			return false
		}
	}
	return true
}

func userName(s string) bool {
	if len(s) > 32 || s[0] == '-' || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
