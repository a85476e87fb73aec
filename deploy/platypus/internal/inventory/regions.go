package inventory

import (
	"strings"
	"unicode"
)

var regionColumns = columnSpec{
	noun:     "regions",
	required: []string{"code", "location", "status"},
	optional: []string{"original"},
}

// statuses are the words that status pages use; another word is kept, with a warning.
var statuses = []string{"Operational", "Degraded Performance", "Partial Outage", "Major Outage", "Under Maintenance", "Offline"}

// ReadRegions reads a sheet of regions: original,code,location,status. An error means that it cannot be read at all.
func ReadRegions(data []byte) (Result, error) {
	s, err := readSheet(data, regionColumns)
	if err != nil {
		return Result{}, err
	}
	var records []Record
	seen := map[string]int{}
	for _, r := range s.rows {
		if r.invalid {
			continue
		}
		code := s.parseName(r, "code")
		s.checkCode(r)
		status := s.checkStatus(r)
		location := s.repairLocation(r, status)
		s.checkOriginal(r, string(code), location)
		if r.invalid || !s.dropDuplicate(seen, r, r.cells["code"], string(code)) {
			continue
		}
		records = append(records, Record{
			Key: "regions/" + string(code), Line: r.line,
			Fields: []Field{{"location", jsonString(location)}, {"status", jsonString(status)}},
		})
	}
	return s.read(records), nil
}

// checkCode warns of a code that is not an airport code in capital letters, as all tools expect.
func (s *sheet) checkCode(r *row) {
	c := r.cells["code"]
	if r.invalid {
		return
	}
	if len(c.text) != 3 || strings.ContainsFunc(c.text, func(x rune) bool { return x < 'A' || x > 'Z' }) {
		s.warnf(c, "code %s is not three capital letters; it is taken as it is", quoteCell(c.text))
	}
}

func (s *sheet) checkStatus(r *row) string {
	c := r.cells["status"]
	for _, known := range statuses {
		if strings.EqualFold(known, c.text) {
			return known
		}
	}
	hint := ""
	if near := closestName(c.text, statuses); near != "" {
		hint = ": is " + near + " meant?"
	}
	s.warnf(c, "status %s is unknown and kept as it is%s", quoteCell(c.text), hint)
	return c.text
}

// repairLocation removes a status that was joined to a location: "Hong KongOperational" is Hong Kong. No location ends
// in a status without a space before it, not even in a truncated status.
func (s *sheet) repairLocation(r *row, status string) string {
	c := r.cells["location"]
	for cut := len(status); cut >= 4; cut-- {
		place, ok := strings.CutSuffix(c.text, status[:cut])
		if ok && place != "" && !strings.HasSuffix(place, " ") {
			s.warnf(c, "location %s is damaged, the status ran into it: it is read as %q", quoteCell(c.text), place)
			return place
		}
	}
	if !strings.ContainsFunc(c.text, unicode.IsLetter) {
		s.warnf(c, "location %s holds no letter", quoteCell(c.text))
	}
	return c.text
}

// checkOriginal compares the other cells with the line of the status page that they were derived from. A difference
// means that one of them is damaged.
func (s *sheet) checkOriginal(r *row, code, location string) {
	c, given := r.cells["original"]
	switch {
	case !given || r.invalid:
	case !strings.HasPrefix(c.text, code):
		s.warnf(c, "cell \"original\" does not begin with the code %s", code)
	case !strings.Contains(c.text, location):
		s.warnf(c, "cell \"original\" does not name the location %s", quoteCell(location))
	case !strings.HasPrefix(c.text, code+" - "+location):
		s.warnf(c, "cell \"original\" is not CODE - LOCATION followed by the status")
	}
}
