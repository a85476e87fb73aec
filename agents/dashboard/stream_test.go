package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// TestDifferences: whatever changes, a page that lays the news over what it shows ends where a new page begins.
func TestDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2026))
	random := func() rendering {
		var out rendering
		for _, id := range []string{"rail", "cards", "changes"} {
			var items []item
			for _, n := range r.Perm(8)[:r.IntN(8)] {
				items = append(items, item{fmt.Sprint(id, n), fmt.Sprint("v", r.IntN(3))})
			}
			out.add(id, items...)
		}
		return out
	}
	shown := rendering{}
	for round := range 2000 {
		next := random()
		if round%5 == 0 {
			next = shown
		}
		var n delta
		if err := json.Unmarshal(encode(diff(shown, next)), &n); err != nil {
			t.Fatal(err)
		}
		if round%5 == 0 && round > 0 && len(n.Panels) > 0 {
			t.Fatalf("no change is told as %v", n)
		}
		if got := laid(shown, next, n); fmt.Sprint(got.panels) != fmt.Sprint(next.panels) {
			t.Fatalf("%v\nlaid over %v\nis %v\nand not %v", n, shown.panels, got.panels, next.panels)
		}
		shown = next
	}
}

// laid does what the script of the page does.
func laid(shown, next rendering, n delta) (out rendering) {
	for i, p := range next.panels {
		var items []item
		if i < len(shown.panels) {
			items = slices.Clone(shown.panels[i].items)
		}
		change := n.Panels[p.id]
		have := map[string]string{}
		for j := range items {
			if html, news := change.Items[items[j].id]; news {
				items[j].html = html
			}
			have[items[j].id] = items[j].html
		}
		maps.Copy(have, change.Items)
		if change.Order != nil {
			items = nil
			for _, id := range change.Order {
				items = append(items, item{id, have[id]})
			}
		}
		out.add(p.id, items...)
	}
	return out
}

// TestStream speaks to the stream as a browser does: who is up to date hears of changes alone, who is not gets all.
func TestStream(t *testing.T) {
	w := newHarness(t)
	w.furnish()
	w.startDashboard()
	_, page := w.get("/?region=SIN")
	_, rest, _ := strings.Cut(page, `data-stream="`)
	stream, _, _ := strings.Cut(rest, `"`)
	stream = strings.ReplaceAll(stream, "&amp;", "&")
	_, id, _ := strings.Cut(stream, "from=")
	listen := func(path, last string) (next func() sse.Event, end func()) {
		request, err := http.NewRequest(http.MethodGet, "http://"+w.listen+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if last != "" {
			request.Header.Set("Last-Event-ID", last)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil || response.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatal(response, err)
		}
		events := make(chan sse.Event, 100)
		go func() {
			for e, err := range sse.Read(response.Body, nil) {
				if err != nil {
					return
				}
				events <- e
			}
		}()
		return func() sse.Event {
			select {
			case e := <-events:
				return e
			case <-time.After(hang):
				t.Fatal("the stream is silent")
			}
			return sse.Event{}
		}, func() { response.Body.Close() }
	}
	next, end := listen(stream, "")
	if e := next(); e.Type != "state" || !strings.Contains(e.Data, `"up":true`) {
		t.Errorf("whoever is up to date hears %s %s", e.Type, e.Data)
	}
	w.hold("SIN", "metal-2.sin.example.net", 3)
	e := next()
	for e.Type != "page" {
		e = next()
	}
	if e.LastEventID == id || len(e.Data) > 8000 || !strings.Contains(e.Data, "m-metal-2.sin") || strings.Contains(e.Data, "m-metal-3.sin") {
		t.Errorf("a change is told as %s: %s", e.LastEventID, e.Data)
	}
	end()
	for last, want := range map[string]string{id: "m-metal-2.sin", "": "m-metal-2.sin", "nonsense": "m-metal-3.sin", "99999999-1": "m-metal-3.sin"} {
		next, end := listen(stream, last)
		if e := next(); e.Type != "page" || !strings.Contains(e.Data, want) {
			t.Errorf("whoever comes back from %q hears %s %.200s", last, e.Type, e.Data)
		}
		end()
	}
	next, end = listen(stream, e.LastEventID)
	if e := next(); e.Type != "state" {
		t.Errorf("whoever comes back and missed nothing hears %s %s", e.Type, e.Data)
	}
	end()
}

// TestManyPages: no number of pages takes more than there is, and those that leave make room.
func TestManyPages(t *testing.T) {
	w := newHarness(t)
	w.put(w.tree.Region("SIN"), intent.Region{Location: "Singapore"})
	w.startDashboard()
	var open []*http.Response
	for range maxStreams {
		response, err := http.Get("http://" + w.listen + "/events")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, response)
	}
	if code, _ := w.get("/events"); code != http.StatusServiceUnavailable {
		t.Errorf("one more: %d", code)
	}
	if code, _ := w.get("/"); code != http.StatusOK {
		t.Errorf("the page itself: %d", code)
	}
	for _, r := range open {
		r.Body.Close()
	}
	w.until("there is room again", func() bool {
		response, err := http.Get("http://" + w.listen + "/events")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// TestManyNews: however fast and however much it changes, a page that followed ends as one that is opened then.
func TestManyNews(t *testing.T) {
	s := busy()
	page, b := s.shown(t)
	b.open("/?region=SIN")
	b.until("live", live)
	ask[bool](b, "window.same = true")
	r := rand.New(rand.NewPCG(4, 2026))
	reader := s.reader(time.Now)
	some := func(prefix intent.Prefix, index int) {
		var pairs []intent.Pair
		for _, n := range r.Perm(len(s.parts[prefix])) {
			if p := s.parts[prefix][n]; r.IntN(4) > 0 {
				pairs = append(pairs, p)
			}
		}
		reader.Take(prefix, store.Snapshot{Pairs: pairs, Index: uint64(index)})
	}
	for round := range 60 {
		for _, prefix := range []intent.Prefix{s.tree.Machines(), s.tree.Ledgers(), s.tree.PlacedVMs(), s.tree.Statuses()} {
			if r.IntN(2) == 0 {
				some(prefix, 10_000+round)
			}
		}
		page.publish(reader.Fleet())
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond) // some within a frame, some not
	}
	const shown = `[...document.querySelectorAll('.panel')].map((p) => p.id + ': ' + [...p.children].map((c) => {
		const copy = c.cloneNode(true);
		copy.querySelectorAll('time').forEach((t) => t.remove());
		return c.id + ' ' + c.className + ' ' + copy.textContent.replace(/\s+/g, ' ');
	}).join(' | ')).join('\n')`
	fresh := b.another()
	fresh.open("/?region=SIN")
	fresh.until("live", live)
	want := ask[string](fresh, shown)
	for end := time.Now().Add(hang); ask[string](b, shown) != want; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the page shows\n%.6000s\nand not\n%.6000s", ask[string](b, shown), want)
		}
	}
	if !ask[bool](b, "window.same === true") {
		t.Error("the page was loaded anew")
	}
}
