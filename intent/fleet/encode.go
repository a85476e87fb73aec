package fleet

import (
	"encoding/json"
	"strconv"

	"github.com/platypus-platform/platypus/intent"
)

// encodeLedger is what json.Marshal makes of a ledger. A ledger is written whole with every transaction that touches its
// machine, and reflection over all its entries was most of what making a transaction took.
func encodeLedger(l intent.Ledger) ([]byte, error) {
	out := make([]byte, 0, 16+96*len(l.Entries))
	out = append(out, `{"entries":[`...)
	for i := range l.Entries {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendEntry(out, &l.Entries[i]); err != nil {
			return nil, err
		}
	}
	return append(out, "]}"...), nil
}

func appendEntry(out []byte, e *intent.Entry) ([]byte, error) {
	if !plain(e.VM) || !plain(string(e.App)) || !plain(string(e.Cluster)) || !plain(string(e.Phase)) {
		text, err := json.Marshal(e)
		return append(out, text...), err
	}
	out = append(append(out, `{"vm":"`...), e.VM...)
	out = strconv.AppendInt(append(out, `","cores":`...), int64(e.Cores), 10)
	out = append(append(out, `,"memory":"`...), e.Memory.String()...)
	out = strconv.AppendUint(append(out, `","intent":`...), e.Intent, 10)
	for _, field := range []struct{ name, text string }{{"app", string(e.App)}, {"cluster", string(e.Cluster)}, {"phase", string(e.Phase)}} {
		if field.text != "" {
			out = append(append(append(out, `,"`...), field.name...), `":"`...)
			out = append(append(out, field.text...), '"')
		}
	}
	return append(out, '}'), nil
}

// plain reports whether a text stands in JSON as it is. Every name does.
func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
