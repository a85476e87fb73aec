package fleet

import (
	"encoding/json"
	"strconv"

	"github.com/platypus-platform/platypus/intent"
)

// encodeLedger returns the same bytes as json.Marshal. Every transaction writes whole ledgers, and reflection over
// all entries dominated its cost.
func encodeLedger(l intent.Ledger) ([]byte, error) {
	out := make([]byte, 0, 16+96*len(l.Entries))
	out = append(out, `{"entries":[`...)
	var memory string // of the previous entry: most have the same size
	for i := range l.Entries {
		e := &l.Entries[i]
		if i > 0 {
			out = append(out, ',')
		}
		if i == 0 || e.Memory != l.Entries[i-1].Memory {
			memory = e.Memory.String()
		}
		var err error
		if out, err = appendEntry(out, e, memory); err != nil {
			return nil, err
		}
	}
	return append(out, "]}"...), nil
}

func appendEntry(out []byte, e *intent.Entry, memory string) ([]byte, error) {
	if !plain(e.VM) || !plain(string(e.App)) || !plain(string(e.Cluster)) || !plain(string(e.Phase)) {
		text, err := json.Marshal(e)
		return append(out, text...), err
	}
	out = append(append(out, `{"vm":"`...), e.VM...)
	out = strconv.AppendInt(append(out, `","cores":`...), int64(e.Cores), 10)
	out = append(append(out, `,"memory":"`...), memory...)
	out = strconv.AppendUint(append(out, `","intent":`...), e.Intent, 10)
	for _, field := range []struct{ name, text string }{{"app", string(e.App)}, {"cluster", string(e.Cluster)}, {"phase", string(e.Phase)}} {
		if field.text != "" {
			out = append(append(append(out, `,"`...), field.name...), `":"`...)
			out = append(append(out, field.text...), '"')
		}
	}
	return append(out, '}'), nil
}

// encodePlacement returns the same bytes as json.Marshal.
func encodePlacement(p intent.Placement) ([]byte, error) {
	if p.State != intent.Placed || !plain(string(p.Region)) || !plain(string(p.Machine)) || p.Region == "" || p.Machine == "" || p.Reason != "" || len(p.Refused) > 0 {
		return json.Marshal(p)
	}
	out := make([]byte, 0, 72+len(p.Region)+len(p.Machine))
	out = append(append(out, `{"state":"placed","region":"`...), p.Region...)
	out = append(append(out, `","machine":"`...), p.Machine...)
	return append(strconv.AppendInt(append(out, `","attempt":`...), int64(p.Attempt), 10), '}'), nil
}

// plain reports whether JSON needs no escapes for a text. This holds for every name.
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
