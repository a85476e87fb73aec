package flagline

import (
	"slices"
	"strings"
)

// Nearest returns the known word that is closest to word, or "" if none is close.
func Nearest(word string, known []string) string {
	best, distance := "", 1+max(1, min(3, len(word)/2))
	for _, k := range known {
		d := editDistance(word, k)
		if strings.EqualFold(word, k) {
			d = 0
		}
		if strings.HasPrefix(k, word) && len(word) > 1 {
			d = 1
		}
		if d < distance {
			best, distance = k, d
		}
	}
	return best
}

// suggestion returns the end of a message about an unknown word.
func suggestion(word string, known []string) string {
	if k := Nearest(word, known); k != "" {
		if slices.Contains(known, "http-addr") {
			k = "--" + k
		}
		return ": did you mean " + k + "?"
	}
	return ""
}

// editDistance is the Levenshtein distance; swapping two neighbours counts as one edit.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
