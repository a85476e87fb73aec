package main

import (
	"bytes"
	"embed"
	"fmt"
	"hash/fnv"
	"html/template"
	"slices"
	"strconv"
	"time"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
)

//go:embed assets
var assets embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"bar": bar, "bytes": fleet.Bytes, "when": when, "stamp": stamp, "tone": tone, "plural": plural, "name": splitName,
	"clip": fleet.Clip, "mosaic": mosaic, "thousands": anyThousands, "noun": nodeNoun,
}).ParseFS(assets, "assets/*.html"))

// item is a part of the page that changes by itself.
type item struct {
	id   string
	html string
}

// panel is an ordered list of items in one place of the page.
type panel struct {
	id    string
	items []item
}

// rendering is one selection of one fleet as HTML.
type rendering struct {
	id     string // the store's index and a digest: what a browser names when it comes back
	index  uint64
	panels []panel
}

// render draws what the selection shows. Everything of the store passes through html/template.
func render(f *fleet.Fleet, s selection) rendering {
	r := rendering{index: f.Index}
	r.add("totals", draw("totals", "totals-row", totalsOf(f)))
	r.add("rail", railOf(f, s)...)
	r.add("title", draw("title", "title-row", headerOf(f, s)))
	r.add("detail", detailOf(f, s)...)
	var ill, apps, seeds []item
	if apps, seeds = runningOf("app", f.Apps, true), runningOf("seed", f.Seeds, true); s.whole() {
		ill, apps, seeds = slices.Concat(apps, seeds, runningOf("agent", f.Agents, true)), nil, nil
	}
	r.add("ill", ill...)
	r.add("cards", cardsOf(f, s)...)
	r.add("apps", append(apps, runningOf("app", f.Apps, false)...)...)
	r.add("seeds", append(seeds, runningOf("seed", f.Seeds, false)...)...)
	r.add("pending", pendingOf(f)...)
	r.add("changes", changesOf(f)...)
	r.add("faults", faultsOf(f)...)
	sum := fnv.New64a()
	for _, p := range r.panels {
		for _, i := range p.items {
			sum.Write([]byte(i.id))
			sum.Write([]byte(i.html))
		}
	}
	r.id = fmt.Sprintf("%d-%x", f.Index, sum.Sum64())
	return r
}

func (r *rendering) add(id string, items ...item) { r.panels = append(r.panels, panel{id, items}) }

// draw makes one item.
func draw(name, id string, data any) item {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, struct {
		ID string
		D  any
	}{id, data}); err != nil {
		panic(err) // the templates are part of the program, and tests draw all of them
	}
	return item{id, b.String()}
}

// HTML is what the items of a panel draw.
func (p panel) HTML() template.HTML {
	var b bytes.Buffer
	for _, i := range p.items {
		b.WriteString(i.html)
	}
	return template.HTML(b.String()) //nolint:gosec // items come out of templates alone
}

// Empty reports whether nothing is there to be shown.
func (p panel) Empty() bool { return len(p.items) == 0 }

// barShape is a gauge as three parts of a line of length 100.
type barShape struct {
	Label                string
	Taken, Reserved, End string // lengths; End is where reserved begins
	Over                 bool
}

func bar(what string, g fleet.Gauge, show func(int64) string) barShape {
	length := func(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }
	reserved := g.Share(g.Reserved)
	label := fmt.Sprintf("%s: %s allocated, %s reserved, %s free of %s", what, show(g.Taken), show(g.Reserved), show(g.Free()), show(g.Total))
	return barShape{label, length(g.Share(g.Taken)), length(reserved), length(100 - reserved), g.Over() > 0}
}

// tone is the colour in which a word is set beside its text: good, busy, wait, bad or plain.
func tone(word string) string {
	switch word {
	case "ready", "converged", "placed", "Operational", "live":
		return "good"
	case "working", "claimed", "draining", "leaving":
		return "busy"
	case "waiting", "pending", "cordoned", "incomplete", "held", "silent", "reverted", "Degraded Performance", "Under Maintenance", "lost":
		return "wait"
	case "failed", "invalid", "conflict", "dead", "gone", "unreadable", "failing", "unhealthy", "overcommitted", "quarantined", "Partial Outage", "Major Outage", "Offline":
		return "bad"
	}
	return "plain"
}

// when is a time for people who have no script: the clock today, the day before that.
func when(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05") }

// stamp is a time for programs.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return thousands(int64(n)) + " " + thing + "s"
}

// anyThousands is thousands for the integers of templates.
func anyThousands(n any) string {
	if i, ok := n.(int); ok {
		return thousands(int64(i))
	}
	i, _ := n.(int64)
	return thousands(i)
}

// nodeNoun is what a member of a region is called: in no inventory there are no machines.
func nodeNoun(code string) string {
	if code == "" {
		return "node"
	}
	return "machine"
}

// thousands writes a number with thin spaces between its groups.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "\u202f" + text[at:]
	}
	return text
}
