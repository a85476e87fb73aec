package change

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Activate returns the value of a config in which version is active and what was active before is prepared. Everything
// else of it stays, members that nobody knows too. A digest, when given, replaces that of the version.
func Activate(config []byte, version intent.Name, sha256 string) ([]byte, error) {
	whole := map[string]json.RawMessage{}
	if len(config) > 0 {
		if err := json.Unmarshal(config, &whole); err != nil {
			return nil, fmt.Errorf("read config: %w", err)
		}
	}
	name := "versions"
	for member := range whole { // any spelling that intent accepts
		if strings.EqualFold(strings.ReplaceAll(member, "_", ""), name) {
			name = member
		}
	}
	versions := map[string]json.RawMessage{}
	if raw, declared := whole[name]; declared {
		if err := json.Unmarshal(raw, &versions); err != nil {
			return nil, fmt.Errorf("read versions: %w", err)
		}
	}
	for id, raw := range versions {
		if status(raw) == string(intent.Active) && id != string(version) {
			versions[id] = with(raw, string(intent.Prep), "")
		}
	}
	versions[string(version)] = with(versions[string(version)], string(intent.Active), sha256)
	whole[name] = encode(versions)
	return encode(whole), nil
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
