package inventory

import (
	"strings"
	"unicode"
)

var regionShape = shape{
	noun:     "regions",
	required: []string{"code", "location", "status"},
	optional: []string{"original"},
}

// statuses are the words that status pages use; another word is kept, with a warning.
var statuses = []string{"Operational", "Degraded Performance", "Partial Outage", "Major Outage", "Under Maintenance", "Offline"}

// Regions reads a sheet of regions: original,code,location,status. An error means that nothing of it can be read.
func Regions(data []byte) (Read, error) {
	s, err := readSheet(data, regionShape)
	if err != nil {
		return Read{}, err
	}
	var records []Record
	seen := map[string]int{}
	for _, r := range s.rows {
		if r.broken {
			continue
		}
		code := s.name(r, "code")
		s.code(r)
		status := s.status(r)
		location := s.location(r, status)
		s.original(r, string(code), location)
		if r.broken || !s.once(seen, r, r.cells["code"], string(code)) {
			continue
		}
		records = append(records, Record{
			Key: "regions/" + string(code), Line: r.line,
			Fields: []Field{{"location", text(location)}, {"status", text(status)}},
		})
	}
	return s.read(records), nil
}

// code warns of a code that no airport has: these are what all tools ask for by name, in capital letters.
func (s *sheet) code(r *row) {
	c := r.cells["code"]
	if r.broken {
		return
	}
	if len(c.text) != 3 || strings.ContainsFunc(c.text, func(x rune) bool { return x < 'A' || x > 'Z' }) {
		s.warnf(c, "code %s is not three capital letters; it is taken as it is", shown(c.text))
	}
}

func (s *sheet) status(r *row) string {
	c := r.cells["status"]
	for _, known := range statuses {
		if strings.EqualFold(known, c.text) {
			return known
		}
	}
	hint := ""
	if near := similar(c.text, statuses); near != "" {
		hint = ": is " + near + " meant?"
	}
	s.warnf(c, "status %s is unknown and kept as it is%s", shown(c.text), hint)
	return c.text
}

// location mends a name into which the status ran: "Hong KongOperational" is Hong Kong. A place never ends in a status
// without a space before it, not even in a status that was cut short.
func (s *sheet) location(r *row, status string) string {
	c := r.cells["location"]
	for cut := len(status); cut >= 4; cut-- {
		place, ok := strings.CutSuffix(c.text, status[:cut])
		if ok && place != "" && !strings.HasSuffix(place, " ") {
			s.warnf(c, "location %s is damaged, the status ran into it: it is read as %q", shown(c.text), place)
			return place
		}
	}
	if !strings.ContainsFunc(c.text, unicode.IsLetter) {
		s.warnf(c, "location %s holds no letter", shown(c.text))
	}
	return c.text
}

// original is the line of the status page that the other cells were made of. Where it says something else than they do,
// one of them is damaged.
func (s *sheet) original(r *row, code, location string) {
	c, given := r.cells["original"]
	switch {
	case !given || r.broken:
	case !strings.HasPrefix(c.text, code):
		s.warnf(c, "cell \"original\" does not begin with the code %s", code)
	case !strings.Contains(c.text, location):
		s.warnf(c, "cell \"original\" does not name the location %s", shown(location))
	case !strings.HasPrefix(c.text, code+" - "+location):
		s.warnf(c, "cell \"original\" is not CODE - LOCATION followed by the status")
	}
}
