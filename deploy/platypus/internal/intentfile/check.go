package intentfile

import "github.com/platypus-platform/platypus/intent"

// Diagnostic is a problem and its position.
type Diagnostic struct {
	intent.Problem
	Place Position
}

// Check returns every problem of every value, in the order of the files.
func Check(entries []Entry) []Diagnostic {
	var found []Diagnostic
	for _, e := range entries {
		value := e.Value
		if e.Delete {
			value = []byte("{}") // only the key can be wrong
		}
		for _, p := range intent.Check(e.Key, value) {
			if e.Delete && (p.Line > 0 || p.Pointer != "") {
				continue
			}
			at := e.Position.OfProblem(p)
			p.Line, p.Col = at.LineCol()
			found = append(found, Diagnostic{p, at})
		}
	}
	return found
}
