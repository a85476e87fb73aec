package intent

import (
	"encoding/hex"
	"path"
	"reflect"
	"strings"
)

func (a *Assignment) check(p *parser, v *value, pointer string) {
	if a.Cluster == "" {
		p.errorf(v, pointer, "\"cluster\" is missing: the name of a cluster such as \"production\"")
	}
}

func (c *Config) check(p *parser, v *value, pointer string) {
	if c.MinNodes < 0 {
		p.errorf(v.find("min_nodes"), pointer+"/min_nodes", "min_nodes must not be negative")
	}
	var active []string
	for _, id := range c.Wanted() {
		if c.Versions[id].Status == Active {
			active = append(active, string(id))
		}
	}
	if len(active) > 1 {
		p.errorf(v.find("versions"), pointer+"/versions", "versions %s are all active: at most one may be", strings.Join(active, ", "))
	}
}

func (ver *Version) read(p *parser, v *value, pointer string) {
	type object Version // without this method
	switch v.kind {
	case '"':
		ver.Status = Status(v.text)
	case '{':
		p.object(v, pointer, reflect.ValueOf((*object)(ver)).Elem())
	default:
		p.expect(v, pointer, '"', "a status or an object with \"status\" and \"sha256\"")
		return
	}
	if ver.Status != Active && ver.Status != Prep {
		p.warnf(v, pointer, "status %q is unknown and means \"prep\": only \"active\" runs", ver.Status)
	}
	ver.SHA256 = strings.ToLower(strings.TrimPrefix(ver.SHA256, "sha256:"))
	if raw, err := hex.DecodeString(ver.SHA256); err != nil || len(raw) != 32 && len(raw) != 0 {
		p.errorf(v.find("sha256"), pointer+"/sha256", "sha256 %q is not 64 hexadecimal digits", clip(ver.SHA256))
	}
}

func (c *DeployConfig) check(p *parser, v *value, pointer string) {
	at := func(name string) (*value, string) {
		if m := v.find(name); m != nil {
			return m, pointer + "/" + name
		}
		return v, pointer
	}
	complain := func(name, format string, args ...any) {
		m, where := at(name)
		p.errorf(m, where, format, args...)
	}
	switch {
	case c.Basedir == "":
		complain("basedir", "\"basedir\" is missing: an absolute path such as \"/srv/slug\"")
	case !path.IsAbs(c.Basedir):
		complain("basedir", "basedir %q must be an absolute path", c.Basedir)
	case path.Clean(c.Basedir) != c.Basedir && path.Clean(c.Basedir)+"/" != c.Basedir || !plain(c.Basedir):
		complain("basedir", "basedir %q must be a plain path without \"..\", \"//\" or control characters", c.Basedir)
	case path.Dir(c.Basedir) == "/" && reserved[path.Base(c.Basedir)] || path.Clean(c.Basedir) == "/":
		complain("basedir", "basedir %q belongs to the system: choose a directory of the app's own", c.Basedir)
	}
	c.Basedir = path.Clean(c.Basedir)
	switch c.Require {
	case RequireUnset, RequireNone, RequireDigest, RequireSignature:
	default:
		complain("require", "require %q is not none, digest or signature", c.Require)
	}
	if c.RunAs != "" && !userName(c.RunAs) {
		complain("run_as", "run_as %q is not a user name", c.RunAs)
	}
	if c.Keep < 0 || c.Keep > 1000 {
		complain("keep", "keep must be within 0 to 1000")
	}
}

// reserved are the directories below / that can never be an app's own.
var reserved = map[string]bool{"bin": true, "boot": true, "dev": true, "etc": true, "lib": true, "lib64": true,
	"proc": true, "root": true, "run": true, "sbin": true, "sys": true, "usr": true, "var": true, "tmp": true,
	"home": true, "opt": true, "srv": true}

// plain reports whether a path may be written into run scripts and unit files without quoting trouble.
func plain(s string) bool {
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
