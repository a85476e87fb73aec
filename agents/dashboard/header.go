package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
)

// header is the head of the middle of the page.
type header struct {
	regionView
	Selection selection
	All       bool   // the whole fleet
	Regions   string // of it, in words
	Legend    bool
	Bare      bool // there is no inventory: apps come before nodes
	Missing   bool // what was asked for is not there
	Waiting   int  // instances that wait and are found
	Odds      []attention
	pages
}

// pages is which part of what was found is shown.
type pages struct {
	Found, From, To int
	Prev, Next      string // addresses of the neighbouring pages
}

func headerOf(f *fleet.Fleet, s selection) header {
	t := header{Selection: s, Bare: f.Bare(), All: s.whole()}
	if r := s.region(f); r != nil {
		t.regionView = regionViewOf(r, s)
	} else {
		t.regionView = regionView{Region: &fleet.Region{Code: s.Region}}
		t.Missing = s.Region != ""
	}
	if t.All && len(f.Machines) > 0 {
		t.Regions = sizeText(f)
	}
	if t.All {
		t.Odds = attentionOf(f)
	}
	found, _ := s.machines(f)
	t.Found, t.Waiting = len(found), s.waiting(f)
	t.Legend = t.All && slices.ContainsFunc(f.Regions, func(r *fleet.Region) bool { return r.Cores.Total > 0 }) || slices.ContainsFunc(found, func(m *fleet.Machine) bool { return m.Cores.Total > 0 })
	_, t.From, t.To = pageOf(found, s.Page)
	if t.From > 1 {
		t.Prev = withPage(s, s.Page-1)
	}
	if t.To < t.Found {
		t.Next = withPage(s, s.Page+1)
	}
	return t
}

// sizeText says how large the fleet is.
func sizeText(f *fleet.Fleet) string {
	used, all := 0, 0
	for _, r := range f.Regions {
		all += boolToInt(r.Code != "")
		used += boolToInt(r.Code != "" && len(r.Machines) > 0)
	}
	if all == 0 {
		return plural(len(f.Machines), "node") + " on which agents run; there is no inventory of machines"
	}
	text := plural(all, "region")
	if used < all {
		text += fmt.Sprintf(", machines in %d of them", used)
	}
	if last := f.Regions[len(f.Regions)-1]; last.Code == "" {
		text += "; " + plural(len(last.Machines), "node") + " in no inventory"
	}
	return text
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func withPage(s selection, page int) string {
	s.Page, s.Machine = page, ""
	return s.Href()
}

// attention is something that a person who opens the page should know first, and where more is told of it.
type attention struct{ Text, Href, Tone string }

// Bounds of what is named: apps and seeds one by one, and letters of each.
const (
	maxOdds = 6
	maxName = 40
)

// attentionOf says what is not as it should be, worst first.
func attentionOf(f *fleet.Fleet) (all []attention) {
	add := func(n int, text, href, tone string) {
		if n > 0 {
			all = append(all, attention{text, href, tone})
		}
	}
	over, held, standing := 0, 0, map[string]int{}
	for _, m := range f.Machines {
		over += boolToInt(m.Over())
		held += boolToInt(m.Held())
		standing[m.Standing]++
	}
	for _, word := range []string{"dead", "gone", "unreadable"} {
		add(standing[word], plural(standing[word], "machine")+" "+word, selection{Query: word}.Href(), tone(word))
	}
	add(over, plural(over, "machine")+" "+overcommitted, selection{Query: overcommitted}.Href(), "bad")
	more := 0
	if !f.VMs.Heard {
		add(f.VMs.Unanswered, plural(f.VMs.Unanswered, "vm")+" unanswered: is an allocator running?", "#pending", "bad")
	} else {
		add(f.VMs.Unanswered, plural(f.VMs.Unanswered, "vm")+" not answered yet", "#pending", "wait")
	}
	for i, list := range [][]fleet.Workload{f.Apps, f.Seeds, f.Agents} {
		for _, r := range list {
			if !wrong(r) {
				continue
			}
			if more++; more <= maxOdds {
				all = append(all, workloadAttention([]string{"app", "seed", "agent"}[i], r))
			}
		}
	}
	slices.SortStableFunc(all, func(x, y attention) int { return cmp.Compare(x.Tone, y.Tone) }) // bad before wait
	add(max(0, more-maxOdds), "and "+plural(more-maxOdds, "more app or seed"), "#ill", "wait")
	add(f.VMs.Pending, plural(f.VMs.Pending, "vm")+" pending", "#pending", "wait")
	add(held, plural(held, "node")+" "+holding, selection{Query: holding}.Href(), "wait")
	add(standing["silent"], plural(standing["silent"], "machine")+" silent", selection{Query: "silent"}.Href(), "wait")
	add(f.Unread, plural(f.Unread, "value")+" that cannot be used", "#faults", "wait")
	for _, word := range []string{"draining", "cordoned"} {
		add(standing[word], plural(standing[word], "machine")+" "+word, selection{Query: word}.Href(), tone(word))
	}
	return all
}

func workloadAttention(kind string, r fleet.Workload) attention {
	name := r.Name
	if letters := []rune(name); len(letters) > maxName {
		name = string(letters[:maxName]) + "…"
	}
	o := attention{Text: fmt.Sprintf("%s not well on %s", name, plural(r.Wrong, "node")), Href: "#" + kind + "-" + digest(r.Name), Tone: "wait"}
	if r.Nodes == 0 {
		o.Text = name + " on no node"
	}
	for _, p := range r.Phases {
		if tone(p.What) == "bad" {
			o.Tone = "bad"
		}
	}
	return o
}
