package change

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
)

// KeepVersions adds the stored versions to a config that omits "versions", so that a file can declare an app without
// choosing the version that runs. Members keep their order; the versions are appended.
func KeepVersions(now world.Snapshot, key string, value []byte) []byte {
	pair, found := now.Get(key)
	if !found || !strings.HasPrefix(key, "clusters/") || !strings.HasSuffix(key, "/config") {
		return value
	}
	return keepVersions(pair.Value, value)
}

func keepVersions(before, after []byte) []byte {
	stored, err := parseConfig(before)
	file, err2 := parseConfig(after)
	member := stored.memberName("versions")
	raw, declared := stored.members[member]
	if _, decided := file.members[file.memberName("versions")]; err != nil || err2 != nil || after == nil || decided || !declared {
		return after
	}
	delete(stored.members, member)
	if reflect.DeepEqual(compactMembers(stored.members), compactMembers(file.members)) {
		return before
	}
	text := bytes.TrimRight(after, " \t\r\n")
	text = bytes.TrimRight(text[:len(text)-1], " \t\r\n") // without the brace
	separator := ","
	if len(file.members) == 0 {
		separator = ""
	}
	return []byte(string(text) + separator + `"` + member + `":` + string(raw) + "}")
}

// compactMembers returns the members without their layout.
func compactMembers(whole map[string]json.RawMessage) map[string]any {
	values := make(map[string]any, len(whole))
	for name, raw := range whole {
		values[name] = compact(raw)
	}
	return values
}
