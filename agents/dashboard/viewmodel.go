package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"html/template"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
	"github.com/platypus-platform/platypus/intent"
)

func cores(n int64) string { return thousands(n) + " cores" }

// totals is the line above everything.
type totals struct {
	Regions, Machines, Odd int
	VMs                    fleet.VMs
	Cores, Memory          fleet.Gauge
	CoresBar, MemoryBar    barShape
	nodeTotals
}

// nodeTotals are what is counted where there is no inventory.
type nodeTotals struct {
	Bare                bool // there is none
	Nodes, Apps, Unwell int  // Unwell are apps
}

func totalsOf(f *fleet.Fleet) totals {
	t := totals{VMs: f.VMs, nodeTotals: nodeTotals{Bare: f.Bare(), Apps: len(f.Apps)}}
	for _, r := range f.Apps {
		t.Unwell += boolToInt(r.Wrong > 0)
	}
	for _, r := range f.Regions {
		if r.Code == "" {
			if t.Nodes = len(r.Machines); t.Bare {
				t.Odd = r.Odd
			}
			continue
		}
		t.Regions++
		t.Machines += len(r.Machines)
		t.Odd += r.Odd
		for _, g := range []struct{ to, from *fleet.Gauge }{{&t.Cores, &r.Cores}, {&t.Memory, &r.Memory}} {
			g.to.Total, g.to.Reserved, g.to.Taken = g.to.Total+g.from.Total, g.to.Reserved+g.from.Reserved, g.to.Taken+g.from.Taken
		}
	}
	t.CoresBar, t.MemoryBar = bar("cores", t.Cores, cores), bar("memory", t.Memory, fleet.Bytes)
	return t
}

// regionView is a region in the rail, and as a tile of the whole fleet.
type regionView struct {
	*fleet.Region
	Title               string
	Href                string
	Here                bool
	CoresBar, MemoryBar barShape
}

func regionViewOf(r *fleet.Region, s selection) regionView {
	to := selection{Region: r.Code, All: r.Code == ""}
	p := regionView{Region: r, Title: r.Code, Href: to.Href(), Here: s.Region == r.Code && (r.Code != "" || s.All)}
	if r.Code == "" {
		p.Title = "Nodes"
	}
	p.CoresBar, p.MemoryBar = bar("cores", r.Cores, cores), bar("memory", r.Memory, fleet.Bytes)
	return p
}

func railOf(f *fleet.Fleet, s selection) (items []item) {
	for _, r := range f.Regions {
		items = append(items, draw("region", "r-"+r.Code, regionViewOf(r, s)))
	}
	return items
}

// pageOf is the page of a list, with the numbers of its first and last.
func pageOf(all []*fleet.Machine, page int) (shown []*fleet.Machine, from, to int) {
	first := min(page*maxCards, len(all))
	last := min(first+maxCards, len(all))
	return all[first:last], min(first+1, last), last
}

// cardsOf are machines, or the regions as tiles where no machines were asked for.
func cardsOf(f *fleet.Fleet, s selection) (items []item) {
	found, asked := s.machines(f)
	if !asked && f.Bare() && len(f.Machines) <= maxCards { // then a tile would stand for all there is
		found, asked = f.Regions[0].Machines, true
	}
	if !asked {
		for _, r := range f.Regions {
			if len(r.Machines) > 0 {
				items = append(items, draw("tile", "t-"+r.Code, regionViewOf(r, s)))
			}
		}
		return items
	}
	shown, _, _ := pageOf(found, s.Page)
	for _, m := range shown {
		items = append(items, draw("card", "m-"+string(m.Name), machineViewOf(m, s)))
	}
	return items
}

// machineView is one machine, as a card and in full.
type machineView struct {
	*fleet.Machine
	Href, Back          string
	Here                bool
	Where               string // its region, where machines of several are listed
	CoresBar, MemoryBar barShape
	Labels              []string
	Subjects            []subject
}

// subject is what one agent says of one thing on a machine.
type subject struct {
	Agent, Name string
	Alive       bool
	intent.State
}

func machineViewOf(m *fleet.Machine, s selection) machineView {
	to, back := s, s
	to.Machine, back.Machine = m.Name, ""
	where := ""
	if s.Region == "" && !s.All {
		where = m.Region
	}
	return machineView{
		Machine: m, Where: where, Href: to.Href() + "#detail", Back: back.Href(), Here: s.Machine == m.Name,
		CoresBar: bar("cores", m.Cores, cores), MemoryBar: bar("memory", m.Memory, fleet.Bytes),
	}
}

func detailOf(f *fleet.Fleet, s selection) []item {
	if s.Machine == "" {
		return nil
	}
	m := f.Machines[s.Machine]
	if m == nil {
		back := s
		back.Machine = ""
		return []item{draw("nomachine", "d-none", map[string]string{"Name": string(s.Machine), "Back": back.Href()})}
	}
	p := machineViewOf(m, s)
	for _, name := range slices.Sorted(maps.Keys(m.Noun.Labels)) {
		p.Labels = append(p.Labels, string(name)+"="+m.Noun.Labels[name])
	}
	for _, a := range m.Agents {
		for _, name := range slices.Sorted(maps.Keys(a.Report.Subjects)) {
			p.Subjects = append(p.Subjects, subject{a.Name, name, a.Alive, a.Report.Subjects[name]})
		}
	}
	slices.SortStableFunc(p.Subjects, func(x, y subject) int { return cmp.Compare(urgency(x), urgency(y)) })
	p.Subjects = p.Subjects[:min(len(p.Subjects), maxPending*4)]
	return []item{draw("machine", "d-"+string(m.Name), p)}
}

// urgency puts first what a person must look at.
func urgency(s subject) int {
	switch tone(s.Phase) {
	case "bad":
		return 0
	case "good":
		return 3
	case "busy":
		return 2
	}
	return 1
}

// wrong reports whether an app, a seed or an agent needs a look.
func wrong(r fleet.Workload) bool { return r.Wrong > 0 || r.Nodes == 0 && r.Why != "" }

// runningOf are the apps or seeds with which something is wrong, or those with which nothing is.
func runningOf(kind string, list []fleet.Workload, ill bool) (items []item) {
	for _, r := range list {
		if wrong(r) == ill && len(items) < maxCards {
			items = append(items, draw("running", kind+"-"+digest(r.Name), runningPart{r, kind, ill}))
		}
	}
	return items
}

// runningPart is an app, a seed or an agent on all nodes. What needs a look is listed among others, so it says what it
// is.
type runningPart struct {
	fleet.Workload
	Kind string
	Ill  bool
}

func pendingOf(f *fleet.Fleet) (items []item) {
	more := f.VMs.Pending + f.VMs.Unanswered
	for _, p := range f.Pending[:min(len(f.Pending), maxPending)] {
		more -= len(p.Instances) + p.Unanswered
		items = append(items, draw("pending", "p-"+digest(p.VM, p.Reason, fmt.Sprint(p.Refused)), pendingPart{p, few(p.Instances)}))
	}
	if more > 0 {
		items = append(items, draw("more", "p--more", plural(more, "more instance")))
	}
	return items
}

// pendingPart is what waits, with the names of some of its instances.
type pendingPart struct {
	fleet.Pending
	Names string
}

// few are the first of several names.
func few(names []string) string {
	const most = 6
	if len(names) <= 1 {
		return ""
	}
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

func changesOf(f *fleet.Fleet) (items []item) {
	seen := map[string]bool{}
	for _, c := range f.Changes {
		id := "c-" + digest(c.At.String(), c.Kind, c.Subject, c.Text, c.Machine)
		if !seen[id] {
			seen[id] = true
			items = append(items, draw("change", id, c))
		}
	}
	return items
}

func faultsOf(f *fleet.Fleet) (items []item) {
	for _, fault := range f.Faults {
		items = append(items, draw("fault", "f-"+digest(fault.Key), fault))
	}
	if more := f.Unread - len(f.Faults); more > 0 {
		items = append(items, draw("more", "f--more", plural(more, "more value")))
	}
	return items
}

// digest makes an id of text that may be anything.
func digest(parts ...string) string {
	sum := fnv.New64a()
	for _, p := range parts {
		sum.Write([]byte(p))
		sum.Write([]byte{0})
	}
	return fmt.Sprintf("%x", sum.Sum64())
}

// splitName sets the part of a machine's name apart by which people tell machines apart. Of an address that is all.
func splitName(name intent.Name) [2]string {
	if _, err := netip.ParseAddr(string(name)); err == nil {
		return [2]string{string(name), ""}
	}
	host, domain, found := strings.Cut(string(name), ".")
	if found && host != "" && strings.Trim(host, "0123456789") != "" {
		return [2]string{host, "." + domain}
	}
	return [2]string{string(name), ""}
}

// mosaic is a picture of a region: one cell a machine, in the order of their names, darker where it is fuller. Nothing
// of the store is in it but numbers.
func mosaic(machines []*fleet.Machine) template.HTML {
	var b strings.Builder
	for _, m := range machines[:min(len(machines), maxCells)] {
		class := fmt.Sprintf("f%d", m.Fill())
		switch {
		case m.Over():
			class = "over"
		case m.Standing == "node":
			class = "f1"
		case m.Standing != "ready":
			class += " odd-" + tone(m.Standing)
		}
		b.WriteString(`<i class="` + class + `"></i>`)
	}
	return template.HTML(b.String()) //nolint:gosec // made of the words above
}
