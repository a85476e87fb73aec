package main

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
	"github.com/platypus-platform/platypus/intent"
)

// Bounds of one page, so that a fleet of any size gives one that a phone can hold.
const (
	maxCards   = 240 // machines on one page; the next are a link away
	maxPending = 50
	maxCells   = 2000 // of the picture of one region
	maxQuery   = 100  // bytes
)

// selection is what a person chose to look at; the whole fleet when it is zero. It is comparable: pages that show the
// same share their rendering.
type selection struct {
	Region  string // a code
	All     bool   // list machines though no region is chosen
	Machine intent.Name
	Query   string
	Page    int // from 0
}

// selected reads the selection out of a request. What cannot be a name selects nothing.
func selected(r *http.Request) selection {
	q := r.URL.Query()
	var s selection
	if code, err := intent.ParseName(q.Get("region")); err == nil {
		s.Region = string(code)
	}
	s.Machine, _ = intent.ParseName(q.Get("machine"))
	s.All = q.Get("region") == unlisted
	if text := strings.TrimSpace(q.Get("q")); len(text) <= maxQuery {
		s.Query = text
	}
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 0 && n < 1000 {
		s.Page = n
	}
	return s
}

// unlisted is how the region of nodes that no inventory has is asked for: no name begins with a dash.
const unlisted = "-"

// query is the selection as the end of an address.
func (s selection) query() string {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	if s.All {
		set("region", unlisted)
	}
	set("region", cmp.Or(s.Region, q.Get("region")))
	set("machine", string(s.Machine))
	set("q", s.Query)
	if s.Page > 0 {
		set("page", strconv.Itoa(s.Page))
	}
	return q.Encode()
}

// Href is the address of the selection.
func (s selection) Href() string { return "/?" + s.query() }

// whole reports whether it is the whole fleet, of which what needs a look comes first.
func (s selection) whole() bool { return s.Region == "" && s.Query == "" && !s.All }

// machines are those that the selection asks for, sorted by name, and whether it asks for any.
func (s selection) machines(f *fleet.Fleet) (found []*fleet.Machine, asked bool) {
	if s.whole() {
		return nil, false
	}
	for _, r := range f.Regions {
		if s.Region != "" && r.Code != s.Region || s.All && r.Code != "" {
			continue
		}
		for _, m := range r.Machines {
			if s.Query == "" || matches(m, strings.ToLower(s.Query)) {
				found = append(found, m)
			}
		}
	}
	if s.Region == "" {
		slices.SortFunc(found, func(x, y *fleet.Machine) int { return cmp.Compare(x.Name, y.Name) })
	}
	return found, true
}

// matches looks for a text in all by which a person might know a machine.
func matches(m *fleet.Machine, text string) bool {
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
	if has(string(m.Name)) || has(m.Noun.Address) || has(m.Noun.Datacenter) || has(m.Standing) || has(m.Region) {
		return true
	}
	if text == overcommitted && m.Over() || text == holding && m.Held() {
		return true
	}
	for name, value := range m.Noun.Labels {
		if has(string(name) + "=" + value) {
			return true
		}
	}
	for _, e := range m.Entries {
		if has(e.VM) || has(string(e.App)) {
			return true
		}
	}
	for _, a := range m.Agents {
		for subject := range a.Report.Subjects {
			if has(subject) {
				return true
			}
		}
	}
	return false
}

// Words by which machines are found that no value of theirs holds.
const (
	overcommitted = "over-committed"
	holding       = "holding back removals"
)

// waiting counts the instances without a machine that the query finds.
func (s selection) waiting(f *fleet.Fleet) (n int) {
	if s.Query == "" {
		return 0
	}
	for _, p := range f.Pending {
		for _, i := range p.Instances {
			n += boolToInt(strings.Contains(strings.ToLower(i), strings.ToLower(s.Query)))
		}
	}
	return n
}

// region returns the region that is chosen, if there is one.
func (s selection) region(f *fleet.Fleet) *fleet.Region {
	i := slices.IndexFunc(f.Regions, func(r *fleet.Region) bool { return r.Code == s.Region && (s.Region != "" || s.All) })
	if i < 0 {
		return nil
	}
	return f.Regions[i]
}
