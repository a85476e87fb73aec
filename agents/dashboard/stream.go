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
	maxStreams  = 256              // pages that are open at once; others stay as they were loaded
	sendTimeout = 10 * time.Second // a browser that takes longer than this for one message is let go
)

// subscription is one selection that somebody looks at: its newest rendering and how to get there from the one before.
type subscription struct {
	watchers   int
	rendering  rendering
	previousID string // id of the rendering that delta leads on from
	delta      []byte
	changed    chan struct{} // closed when there is a newer rendering
}

// delta is what a stream brings: all of a rendering, or what is new in it.
type delta struct {
	Panels map[string]panelDelta `json:"panels"`
}

type panelDelta struct {
	Order []string          `json:"order,omitzero"` // ids of all items, when their order is not what it was
	Items map[string]string `json:"items,omitempty"`
}

// diff is what leads from one rendering to another. From the zero rendering it is everything.
func diff(from, to rendering) delta {
	n := delta{map[string]panelDelta{}}
	for i, p := range to.panels {
		var old panel
		if i < len(from.panels) {
			old = from.panels[i]
		}
		if change, any := diffPanel(old, p, len(from.panels) == 0); any {
			n.Panels[p.id] = change
		}
	}
	return n
}

func diffPanel(from, to panel, all bool) (change panelDelta, any bool) {
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

func encode(n delta) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it is read as JSON, never as a page
	if err := encoder.Encode(n); err != nil {
		panic(err) // strings can always be written
	}
	return bytes.TrimSpace(b.Bytes())
}

// publish makes a fleet the one that is shown, and draws it anew for everybody who looks.
func (s *dashboard) publish(f *fleet.Fleet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleet = f
	for chosen, v := range s.subscriptions {
		next := render(f, chosen)
		if next.id == v.rendering.id {
			continue
		}
		v.previousID, v.delta = v.rendering.id, encode(diff(v.rendering, next))
		v.rendering = next
		close(v.changed)
		v.changed = make(chan struct{})
	}
}

// current returns what a selection shows now.
func (s *dashboard) current(chosen selection) rendering {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.subscriptions[chosen]; v != nil {
		return v.rendering
	}
	return render(s.fleet, chosen)
}

// subscribe begins to look at a selection, leave ends it. There is no view when too many look.
func (s *dashboard) subscribe(chosen selection) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := 0
	for _, v := range s.subscriptions {
		all += v.watchers
	}
	if all >= maxStreams {
		return nil
	}
	if s.subscriptions[chosen] == nil {
		s.subscriptions[chosen] = &subscription{rendering: render(s.fleet, chosen), changed: make(chan struct{})}
	}
	s.subscriptions[chosen].watchers++
	return s.subscriptions[chosen]
}

func (s *dashboard) unsubscribe(chosen selection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.subscriptions[chosen]; v != nil {
		if v.watchers--; v.watchers == 0 {
			delete(s.subscriptions, chosen)
		}
	}
}

// deltaSince returns what brings a page with the rendering last up to date, and nil when it is; and the channel that
// tells of the next rendering.
func (s *dashboard) deltaSince(v *subscription, last string) (id string, data []byte, index uint64, turned <-chan struct{}) {
	s.mu.Lock()
	now := v.rendering
	id, index, turned = now.id, now.index, v.changed
	if last == v.previousID && v.previousID != "" {
		data = v.delta
	}
	s.mu.Unlock()
	if data == nil && id != last {
		data = encode(diff(rendering{}, now))
	}
	if id == last {
		data = nil
	}
	return id, data, index, turned
}

// events is the one stream of a page. Each message brings the page to the rendering that its id names; whoever comes
// back names the last one that arrived, and gets all of the page unless that is still the newest.
func (s *dashboard) events(w http.ResponseWriter, r *http.Request) {
	chosen := selected(r)
	v := s.subscribe(chosen)
	if v == nil {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer s.unsubscribe(chosen)
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

func (s *dashboard) stream(session *sse.Session, w http.ResponseWriter, v *subscription, last string) {
	deadline := http.NewResponseController(w)
	send := func(m *sse.Message) error {
		_ = deadline.SetWriteDeadline(time.Now().Add(sendTimeout))
		if err := session.Send(m); err != nil {
			return err
		}
		return session.Flush()
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		id, data, index, turned := s.deltaSince(v, last)
		if data != nil {
			if send(message("page", id, data)) != nil {
				return
			}
			last = id
		}
		state, changed := s.status.state(time.Now())
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
