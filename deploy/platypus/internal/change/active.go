package change

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// config is the value of a config taken apart. What nobody knows stays in it.
type config struct {
	whole    map[string]json.RawMessage
	versions map[string]json.RawMessage
}

func open(value []byte) (c config, err error) {
	c = config{map[string]json.RawMessage{}, map[string]json.RawMessage{}}
	if len(value) > 0 {
		if err := json.Unmarshal(value, &c.whole); err != nil {
			return c, fmt.Errorf("read config: %w", err)
		}
	}
	if raw, declared := c.whole[c.spelt("versions")]; declared {
		if err := json.Unmarshal(raw, &c.versions); err != nil {
			return c, fmt.Errorf("read versions: %w", err)
		}
	}
	return c, nil
}

// spelt is how a member is spelt in the value, in any spelling that intent accepts.
func (c config) spelt(member string) string {
	for name := range c.whole {
		if strings.EqualFold(strings.ReplaceAll(name, "_", ""), member) {
			return name
		}
	}
	return member
}

// withStatus returns the versions of that status, sorted.
func (c config) withStatus(s intent.Status) (versions []intent.Name) {
	for id, raw := range c.versions {
		if status(raw) == string(s) {
			versions = append(versions, intent.Name(id))
		}
	}
	slices.Sort(versions)
	return versions
}

func (c config) value() []byte {
	c.whole[c.spelt("versions")] = encode(c.versions)
	return encode(c.whole)
}

// Activate returns the value of a config in which version is active and what was active or stopped before is prepared.
// Everything else of it stays, members that nobody knows too. A digest, when given, replaces that of the version.
func Activate(value []byte, version intent.Name, sha256 string) ([]byte, error) {
	c, err := open(value)
	if err != nil {
		return nil, err
	}
	for _, id := range append(c.withStatus(intent.Active), c.withStatus(intent.Stopped)...) {
		c.versions[string(id)] = with(c.versions[string(id)], string(intent.Prep), "")
	}
	c.versions[string(version)] = with(c.versions[string(version)], string(intent.Active), sha256)
	return c.value(), nil
}

// Stop returns the value of a config in which the active version is stopped, and that version; "" when none is active.
func Stop(value []byte) ([]byte, intent.Name, error) {
	c, err := open(value)
	active := c.withStatus(intent.Active)
	if err != nil || len(active) == 0 {
		return value, "", err
	}
	for _, id := range c.withStatus(intent.Stopped) {
		c.versions[string(id)] = with(c.versions[string(id)], string(intent.Prep), "")
	}
	for _, id := range active {
		c.versions[string(id)] = with(c.versions[string(id)], string(intent.Stopped), "")
	}
	return c.value(), active[0], nil
}

// Restart returns the value of a config with another text for restart, and the active version; "" when none is.
func Restart(value []byte, text string) ([]byte, intent.Name, error) {
	c, err := open(value)
	active := c.withStatus(intent.Active)
	if err != nil || len(active) == 0 {
		return value, "", err
	}
	c.whole[c.spelt("restart")] = encode(text)
	return c.value(), active[0], nil
}

// Versions returns the active version, the stopped one, each "" when there is none, and those that are only prepared.
func Versions(value []byte) (active, stopped intent.Name, prepared []intent.Name) {
	c, err := open(value)
	if err != nil {
		return "", "", nil
	}
	for _, id := range c.withStatus(intent.Active) {
		active = id
	}
	for _, id := range c.withStatus(intent.Stopped) {
		stopped = id
	}
	for id, raw := range c.versions {
		if s := status(raw); s != string(intent.Active) && s != string(intent.Stopped) {
			prepared = append(prepared, intent.Name(id))
		}
	}
	slices.Sort(prepared)
	return active, stopped, prepared
}

// status reads a version in either of its forms.
func status(raw json.RawMessage) string {
	var bare string
	if json.Unmarshal(raw, &bare) == nil {
		return bare
	}
	var object struct{ Status string }
	_ = json.Unmarshal(raw, &object)
	return object.Status
}

// with returns a version with another status, in the form that it has unless a digest needs the long one.
func with(raw json.RawMessage, status, sha256 string) json.RawMessage {
	object := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &object) != nil || object == nil {
		object = map[string]json.RawMessage{}
	}
	if len(object) == 0 && sha256 == "" {
		return encode(status)
	}
	for member := range object {
		if strings.EqualFold(member, "status") || sha256 != "" && strings.EqualFold(member, "sha256") {
			delete(object, member)
		}
	}
	object["status"] = encode(status)
	if sha256 != "" {
		object["sha256"] = encode(sha256)
	}
	return encode(object)
}

// encode cannot fail on what is made of strings and of JSON that was read.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
	return bytes.TrimSpace(b.Bytes())
}
