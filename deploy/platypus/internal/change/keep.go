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
func KeepVersions(now world.World, key string, value []byte) []byte {
	pair, found := now.Get(key)
	if !found || !strings.HasPrefix(key, "clusters/") || !strings.HasSuffix(key, "/config") {
		return value
	}
	return keepVersions(pair.Value, value)
}

func keepVersions(before, after []byte) []byte {
	was, err := open(before)
	is, err2 := open(after)
	member := was.spelt("versions")
	raw, declared := was.whole[member]
	if _, decided := is.whole[is.spelt("versions")]; err != nil || err2 != nil || after == nil || decided || !declared {
		return after
	}
	for name := range is.whole {
		if intent.Near(name, []string{member}) != "" {
			return after
		}
	}
	kept := []string{`"` + member + `":` + string(raw)}
	delete(was.whole, member)
	if raw, there := was.whole[restartMember]; there {
		if _, decided := is.whole[restartMember]; !decided {
			kept = append(kept, `"`+restartMember+`":`+string(raw))
			delete(was.whole, restartMember)
		}
	}
	if reflect.DeepEqual(plain(was.whole), plain(is.whole)) {
		return before
	}
	text := bytes.TrimRight(after, " \t\r\n")
	text = bytes.TrimRight(text[:len(text)-1], " \t\r\n") // without the brace
	joint := ","
	if len(is.whole) == 0 {
		joint = ""
	}
	return []byte(string(text) + joint + strings.Join(kept, ",") + "}")
}

// plain is a value without its layout.
func plain(whole map[string]json.RawMessage) map[string]any {
	values := make(map[string]any, len(whole))
	for name, raw := range whole {
		values[name] = compact(raw)
	}
	return values
}
