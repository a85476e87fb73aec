package change

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// RemoveVersions returns the config without some of its versions. All other members stay.
func RemoveVersions(config []byte, removed ...intent.Name) ([]byte, error) {
	var whole, versions map[string]json.RawMessage
	if err := json.Unmarshal(config, &whole); err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	for member, raw := range whole {
		if !strings.EqualFold(strings.ReplaceAll(member, "_", ""), "versions") { // any spelling that intent accepts
			continue
		}
		if err := json.Unmarshal(raw, &versions); err != nil {
			return nil, fmt.Errorf("read versions: %w", err)
		}
		for _, version := range removed {
			delete(versions, string(version))
		}
		whole[member] = encode(versions)
	}
	return encode(whole), nil
}
