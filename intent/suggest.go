package intent

import (
	"reflect"
	"strings"
)

// suggest names the member that was probably meant, as the tail of a sentence, or nothing when none is near.
func suggest(name string, t reflect.Type) string {
	best, distance := "", 3
	for _, f := range reflect.VisibleFields(t) {
		known, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if known == "" || known == "-" {
			continue
		}
		if d := edits(fold(name), fold(known)); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean \"" + best + "\"?"
}

// edits is the Levenshtein distance, bounded in cost by the shortness of member names.
func edits(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
