package intent

import (
	"reflect"
	"strings"
)

// suggest returns the end of a message with the most similar member, or "" if none is similar.
func suggest(name string, t reflect.Type) string {
	best, distance := "", 3
	for _, f := range reflect.VisibleFields(t) {
		known, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if known == "" || known == "-" {
			continue
		}
		if d := editDistance(foldName(name), foldName(known)); d < distance {
			best, distance = known, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean \"" + best + "\"?"
}

// editDistance is the Levenshtein distance; swapping two neighbours counts as one edit. Names are short, which limits
// its cost.
func editDistance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(next[j]+1, row[j+1]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}

// Near returns the known name that was probably meant, or "": at most two edits away and less than half of the name, or
// the same host name with or without its domain.
func Near(name string, known []string) string {
	best, distance := "", min(3, (len(name)+1)/2)
	host, _, _ := strings.Cut(name, ".")
	for _, k := range known {
		d := editDistance(strings.ToLower(name), strings.ToLower(k))
		if short, _, _ := strings.Cut(k, "."); short == host && k != name {
			d = min(d, 1)
		}
		if k != name && d < distance {
			best, distance = k, d
		}
	}
	return best
}
