package change

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// config is a config value split into members. It keeps members that intent does not know.
type config struct {
	members  map[string]json.RawMessage
	versions map[string]json.RawMessage
}

func parseConfig(value []byte) (c config, err error) {
	c = config{map[string]json.RawMessage{}, map[string]json.RawMessage{}}
	if len(value) > 0 {
		if err := json.Unmarshal(value, &c.members); err != nil {
			return c, fmt.Errorf("read config: %w", err)
		}
	}
	if raw, declared := c.members[c.memberName("versions")]; declared {
		if err := json.Unmarshal(raw, &c.versions); err != nil {
			return c, fmt.Errorf("read versions: %w", err)
		}
	}
	return c, nil
}

// memberName returns the spelling that the value uses for a member; intent accepts several.
func (c config) memberName(member string) string {
	for name := range c.members {
		if strings.EqualFold(strings.ReplaceAll(name, "_", ""), member) {
			return name
		}
	}
	return member
}

// withStatus returns the versions with that status, sorted.
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
	c.members[c.memberName("versions")] = encode(c.versions)
	return encode(c.members)
}

// Activate returns the config with version active and the previously active or stopped versions prepared. All other
// members stay, including unknown ones. A non-empty digest replaces that of the version.
func Activate(value []byte, version intent.Name, sha256 string) ([]byte, error) {
	c, err := parseConfig(value)
	if err != nil {
		return nil, err
	}
	for _, id := range append(c.withStatus(intent.Active), c.withStatus(intent.Stopped)...) {
		c.versions[string(id)] = setStatus(c.versions[string(id)], string(intent.Prep), "")
	}
	c.versions[string(version)] = setStatus(c.versions[string(version)], string(intent.Active), sha256)
	return c.value(), nil
}

// Stop returns the config with its active version stopped, and that version; "" if no version is active.
func Stop(value []byte) ([]byte, intent.Name, error) {
	c, err := parseConfig(value)
	active := c.withStatus(intent.Active)
	if err != nil || len(active) == 0 {
		return value, "", err
	}
	for _, id := range c.withStatus(intent.Stopped) {
		c.versions[string(id)] = setStatus(c.versions[string(id)], string(intent.Prep), "")
	}
	for _, id := range active {
		c.versions[string(id)] = setStatus(c.versions[string(id)], string(intent.Stopped), "")
	}
	return c.value(), active[0], nil
}

// Restart returns the config with another restart text, and the active version; "" if no version is active.
func Restart(value []byte, text string) ([]byte, intent.Name, error) {
	c, err := parseConfig(value)
	active := c.withStatus(intent.Active)
	if err != nil || len(active) == 0 {
		return value, "", err
	}
	c.members[c.memberName("restart")] = encode(text)
	return c.value(), active[0], nil
}

// Versions returns the active version, the stopped one (each "" if absent) and the prepared ones.
func Versions(value []byte) (active, stopped intent.Name, prepared []intent.Name) {
	c, err := parseConfig(value)
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

// status reads the status of a version in its short or long form.
func status(raw json.RawMessage) string {
	var bare string
	if json.Unmarshal(raw, &bare) == nil {
		return bare
	}
	var object struct{ Status string }
	_ = json.Unmarshal(raw, &object)
	return object.Status
}

// setStatus returns a version with another status. It keeps the form of the value unless a digest needs the long one.
func setStatus(raw json.RawMessage, status, sha256 string) json.RawMessage {
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

// encode encodes strings and valid JSON, which cannot fail.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
	return bytes.TrimSpace(b.Bytes())
}
