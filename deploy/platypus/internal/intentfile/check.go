package intentfile

import "github.com/platypus-platform/platypus/intent"

// Found is a problem and where it stands.
type Found struct {
	intent.Problem
	Place Place
}

// Check returns every problem of every value, in the order of the files.
func Check(entries []Entry) []Found {
	var found []Found
	for _, e := range entries {
		value := e.Value
		if e.Delete {
			value = []byte("{}") // only the key can be wrong
		}
		for _, p := range intent.Check(e.Key, value) {
			if e.Delete && (p.Line > 0 || p.Pointer != "") {
				continue
			}
			at := e.Place.Problem(p)
			p.Line, p.Col = at.LineCol()
			found = append(found, Found{p, at})
		}
	}
	return found
}
