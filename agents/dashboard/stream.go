package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/platypus-platform/platypus/agents/dashboard/fleet"
)

// Bounds of the streams.
const (
	maxStreams = 256              // pages that are open at once; others stay as they were loaded
	slow       = 10 * time.Second // a browser that takes longer than this for one message is let go
)

// view is one selection that somebody looks at: its newest rendering and how to get there from the one before.
type view struct {
	watchers int
	now      rendering
	before   string // id of the rendering that delta leads on from
	delta    []byte
	turned   chan struct{} // closed when there is a newer rendering
}

// news is what a stream brings: all of a rendering, or what is new in it.
type news struct {
	Panels map[string]panelNews `json:"panels"`
}

type panelNews struct {
	Order []string          `json:"order,omitzero"` // ids of all items, when their order is not what it was
	Items map[string]string `json:"items,omitempty"`
}

// difference is what leads from one rendering to another. From the zero rendering it is everything.
func difference(from, to rendering) news {
	n := news{map[string]panelNews{}}
	for i, p := range to.panels {
		var old panel
		if i < len(from.panels) {
			old = from.panels[i]
		}
		if change, any := panelDifference(old, p, len(from.panels) == 0); any {
			n.Panels[p.id] = change
		}
	}
	return n
}

func panelDifference(from, to panel, all bool) (change panelNews, any bool) {
	had := make(map[string]string, len(from.items))
	for _, i := range from.items {
		had[i.id] = i.html
	}
	for _, i := range to.items {
		if html, known := had[i.id]; !known || html != i.html {
			if change.Items == nil {
				change.Items = map[string]string{}
			}
			change.Items[i.id] = i.html
		}
	}
	if all || !slices.EqualFunc(from.items, to.items, func(x, y item) bool { return x.id == y.id }) {
		change.Order = make([]string, 0, len(to.items))
		for _, i := range to.items {
			change.Order = append(change.Order, i.id)
		}
	}
	return change, change.Items != nil || change.Order != nil
}

func encoded(n news) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it is read as JSON, never as a page
	if err := encoder.Encode(n); err != nil {
		panic(err) // strings can always be written
	}
	return bytes.TrimSpace(b.Bytes())
}

// publish makes a fleet the one that is shown, and draws it anew for everybody who looks.
func (s *sight) publish(f *fleet.Fleet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleet = f
	for chosen, v := range s.views {
		next := render(f, chosen)
		if next.id == v.now.id {
			continue
		}
		v.before, v.delta = v.now.id, encoded(difference(v.now, next))
		v.now = next
		close(v.turned)
		v.turned = make(chan struct{})
	}
}

// look returns what a selection shows now.
func (s *sight) look(chosen selection) rendering {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.views[chosen]; v != nil {
		return v.now
	}
	return render(s.fleet, chosen)
}

// enter begins to look at a selection, leave ends it. There is no view when too many look.
func (s *sight) enter(chosen selection) *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := 0
	for _, v := range s.views {
		all += v.watchers
	}
	if all >= maxStreams {
		return nil
	}
	if s.views[chosen] == nil {
		s.views[chosen] = &view{now: render(s.fleet, chosen), turned: make(chan struct{})}
	}
	s.views[chosen].watchers++
	return s.views[chosen]
}

func (s *sight) leave(chosen selection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.views[chosen]; v != nil {
		if v.watchers--; v.watchers == 0 {
			delete(s.views, chosen)
		}
	}
}

// since returns what brings a page with the rendering last up to date, and nil when it is; and the channel that tells of
// the next rendering.
func (s *sight) since(v *view, last string) (id string, data []byte, index uint64, turned <-chan struct{}) {
	s.mu.Lock()
	now := v.now
	id, index, turned = now.id, now.index, v.turned
	if last == v.before && v.before != "" {
		data = v.delta
	}
	s.mu.Unlock()
	if data == nil && id != last {
		data = encoded(difference(rendering{}, now))
	}
	if id == last {
		data = nil
	}
	return id, data, index, turned
}

// events is the one stream of a page. Each message brings the page to the rendering that its id names; whoever comes
// back names the last one that arrived, and gets all of the page unless that is still the newest.
func (s *sight) events(w http.ResponseWriter, r *http.Request) {
	chosen := selected(r)
	v := s.enter(chosen)
	if v == nil {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(chosen)
	session, err := sse.Upgrade(w, r)
	if err != nil {
		http.Error(w, "this connection cannot carry a stream", http.StatusHTTPVersionNotSupported)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not hold news back
	last := r.URL.Query().Get("from")
	if session.LastEventID.IsSet() {
		last = session.LastEventID.String()
	}
	s.stream(session, w, v, last)
}

func (s *sight) stream(session *sse.Session, w http.ResponseWriter, v *view, last string) {
	deadline := http.NewResponseController(w)
	send := func(m *sse.Message) error {
		_ = deadline.SetWriteDeadline(time.Now().Add(slow))
		if err := session.Send(m); err != nil {
			return err
		}
		return session.Flush()
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		id, data, index, turned := s.since(v, last)
		if data != nil {
			if send(message("page", id, data)) != nil {
				return
			}
			last = id
		}
		state, changed := s.link.state(time.Now())
		state.Index, state.Build = index, s.build
		told, err := json.Marshal(state)
		if err != nil || send(message("state", "", told)) != nil {
			return
		}
		select {
		case <-turned:
		case <-changed:
		case <-tick.C:
		case <-session.Req.Context().Done():
			return
		}
	}
}

// message is one event. Without an id the browser keeps the one before.
func message(kind, id string, data []byte) *sse.Message {
	m := &sse.Message{Type: sse.Type(kind), Retry: time.Second}
	if id != "" {
		m.ID = sse.ID(id)
	}
	m.AppendData(string(data))
	return m
}
