package intentfile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// readExport reads the format of `consul kv export`: [{"key":…,"flags":0,"value":"<base64>"}].
func (r Reader) readExport(all *Files, s *source) error {
	dec := json.NewDecoder(bytes.NewReader(s.data))
	_, _ = dec.Token() // the bracket: checkSyntax has accepted the text
	for dec.More() {
		var item json.RawMessage
		if err := dec.Decode(&item); err != nil {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		at := s.at(int(dec.InputOffset()) - len(item))
		var pair struct{ Key, Value *string }
		if err := json.Unmarshal(item, &pair); err != nil || pair.Key == nil || pair.Value == nil {
			return at.Errorf("an item as of `consul kv export` is expected: {\"key\":…, \"flags\":0, \"value\":\"<base64>\"}")
		}
		value, err := base64.StdEncoding.DecodeString(*pair.Value)
		if err != nil {
			return at.Errorf("value of %q is not base64: %v", *pair.Key, err)
		}
		if strings.HasSuffix(*pair.Key, "/") && len(value) == 0 {
			continue // the empty folder key that Consul's UI creates
		}
		inside := &source{name: s.name, data: value, container: &at}
		r.add(all, *pair.Key, value, inside.at(0))
	}
	return nil
}
