package change

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// KeepVersions completes the value of a config that leaves "versions" out: the store's stay, and so does the "restart" that
// platypus restart wrote. So a file may declare an app without deciding which version runs. What the value says keeps its
// place; what is kept is appended. A value with a misspelt "versions" is left as it is, to be refused.
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
	for name := range file.members {
		if intent.Near(name, []string{member}) != "" {
			return after
		}
	}
	kept := []string{`"` + member + `":` + string(raw)}
	delete(stored.members, member)
	if raw, there := stored.members[restartMember]; there {
		if _, decided := file.members[restartMember]; !decided {
			kept = append(kept, `"`+restartMember+`":`+string(raw))
			delete(stored.members, restartMember)
		}
	}
	if reflect.DeepEqual(compactMembers(stored.members), compactMembers(file.members)) {
		return before
	}
	text := bytes.TrimRight(after, " \t\r\n")
	text = bytes.TrimRight(text[:len(text)-1], " \t\r\n") // without the brace
	separator := ","
	if len(file.members) == 0 {
		separator = ""
	}
	return []byte(string(text) + separator + strings.Join(kept, ",") + "}")
}

// compactMembers returns the members without their layout.
func compactMembers(whole map[string]json.RawMessage) map[string]any {
	values := make(map[string]any, len(whole))
	for name, raw := range whole {
		values[name] = compact(raw)
	}
	return values
}
