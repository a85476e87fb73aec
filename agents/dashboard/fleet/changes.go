package fleet

import (
	"cmp"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// changes are the newest of what was noticed and of what the agents reported.
func (r *Reader) changes() []Change { return newest(append(r.attributed(), r.reported()...)) }

func newest(list []Change) []Change {
	slices.SortFunc(list, func(x, y Change) int {
		return cmp.Or(y.At.Compare(x.At), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Subject, y.Subject), cmp.Compare(x.Machine, y.Machine), cmp.Compare(x.Text, y.Text))
	})
	return list[:min(len(list), maxChanges)]
}

// changeKey is what makes reports of several nodes one change: the same came of the same thing in the same minute.
type changeKey struct {
	kind, subject, text string
	minute              int64
}

// reported are the newest changes that the agents tell of. A release that goes live on a hundred nodes is one of them.
func (r *Reader) reported() []Change {
	nodes := r.agents()
	if r.agentReports.changes != nil {
		return r.agentReports.changes
	}
	groups := map[changeKey]*Change{}
	for node, n := range nodes {
		latest := map[string]Change{} // several agents say what became of one app: the last of them is the news
		for _, a := range n.agents {
			for subject, s := range a.Report.Subjects {
				kind := kindOf(a.Name, subject)
				key := kind + " " + subject
				if kind == "agent" {
					if key = a.Name + " " + subject; severity(s.Phase) == 0 || kinds[a.Name] == "vm" {
						continue // nobody declared it, and all is well with it
					}
				}
				if c := latest[key]; !s.Since.IsZero() && !isElsewhere(kind, s) && !s.Since.Before(c.At) {
					latest[key] = changeOf(node, kind, a, subject, s)
				}
			}
		}
		for _, c := range latest {
			key := changeKey{c.Kind, c.Subject, c.Text, c.At.Unix() / 60}
			group := groups[key]
			if group == nil {
				groups[key] = &c
				continue
			}
			if group.Nodes++; c.At.After(group.At) {
				group.At = c.At
			}
			group.Machine = ""
		}
	}
	list := make([]Change, 0, len(groups))
	for _, c := range groups {
		list = append(list, *c)
	}
	r.agentReports.changes = newest(list)
	return r.agentReports.changes
}

func changeOf(node intent.Name, kind string, a Agent, subject string, s intent.State) Change {
	text := a.Name + ": " + s.Phase
	if why := cmp.Or(s.Error, s.Reason); why != "" && severity(s.Phase) > 0 {
		text += ": " + why
	} else if s.Have != "" {
		text += ", " + s.Have
	}
	if kind == "agent" {
		text, subject = subject+strings.TrimPrefix(text, a.Name), a.Name
	}
	c := Change{At: s.Since, Kind: kind, Subject: Clip(subject), Text: Clip(text), Phase: Clip(s.Phase), Machine: string(node), Nodes: 1}
	if kinds[a.Name] == "vm" {
		c.Machine = "" // where the allocator runs is not where the vm is
	}
	return c
}
