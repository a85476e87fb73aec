package history

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

const (
	checkpointMagic = "pc1"
	maxPart         = 250_000 // bytes of one key of a checkpoint
	every           = 100     // commits between two checkpoints, at the least
	rarest          = 1000    // and at the most
)

// stand is a checkpoint without its values.
type stand struct {
	Seq     uint64  `json:"s"`
	Index   uint64  `json:"x"`
	At      int64   `json:"t"`
	ID      string  `json:"i"`
	Hash    digest  `json:"h"`
	Faults  []Fault `json:"f,omitempty"`
	Entries []kept  `json:"e"`
}

// kept is one key of it.
type kept struct {
	Key     string `json:"k"`
	Seq     uint64 `json:"s"`
	Index   uint64 `json:"x,omitempty"`
	Created uint64 `json:"c,omitempty"`
	Size    int    `json:"z"`
	Anchor  uint64 `json:"a,omitempty"` // 0: Seq
	Deltas  int    `json:"d,omitempty"`
}

// encodeState writes a state whose values are filled in. The same state gives the same bytes.
func encodeState(s *State, index uint64) []byte {
	h := stand{Seq: s.Seq, Index: index, At: s.At.UnixMilli(), ID: s.id, Hash: digest(s.Hash), Faults: s.Faults}
	var payload []byte
	for _, key := range slices.Sorted(maps.Keys(s.entries)) {
		e := s.entries[key]
		k := kept{Key: key, Seq: e.Seq, Index: e.Index, Created: e.Created, Size: len(e.Data), Deltas: e.deltas}
		if e.anchor != e.Seq {
			k.Anchor = e.anchor
		}
		h.Entries, payload = append(h.Entries, k), append(payload, e.Data...)
	}
	head, err := json.Marshal(h)
	if err != nil {
		panic(err) // numbers and strings
	}
	plain := append(binary.AppendUvarint(nil, uint64(len(head))), head...)
	return deflate([]byte(checkpointMagic), append(plain, payload...))
}

func decodeState(data []byte) (*State, error) {
	plain, err := inflate(data, checkpointMagic, nil)
	if err != nil {
		return nil, err
	}
	size, n := binary.Uvarint(plain)
	if n <= 0 || size > uint64(len(plain)-n) {
		return nil, errors.New("the header is cut off")
	}
	var h stand
	if err := json.Unmarshal(plain[n:n+int(size)], &h); err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	s := emptyState()
	s.Seq, s.At, s.Hash, s.id, s.Faults = h.Seq, time.UnixMilli(h.At).UTC(), Hash(h.Hash), h.ID, h.Faults
	s.since = grave{h.Seq, h.Index}
	payload := plain[n+int(size):]
	for _, k := range h.Entries {
		if k.Size < 0 || k.Size > len(payload) {
			return nil, fmt.Errorf("the value of %s is cut off", k.Key)
		}
		data := payload[:k.Size:k.Size]
		payload = payload[k.Size:]
		e := entry{Value: Value{Key: k.Key, Data: data, SHA: HashOf(data), Seq: k.Seq, Index: k.Index, Created: k.Created},
			anchor: k.Anchor, deltas: k.Deltas}
		if e.anchor == 0 {
			e.anchor = e.Seq
		}
		s.entries[k.Key] = e
	}
	return s, nil
}

// base is the newest state that is kept whole, not after seq; the empty one before the first commit. A checkpoint that
// cannot be believed is passed over for an older one.
func (l *Log) base(ctx context.Context, seq uint64, w window) (*State, error) {
	var fault error
	for _, m := range slices.Backward(w.Checkpoints) {
		if m.Seq > seq {
			continue
		}
		pairs, _, err := l.store.List(ctx, l.partsPrefix(m.Seq), store.Default)
		if err != nil {
			return nil, err
		}
		s, err := assemble(m, pairs)
		if err == nil {
			return s, nil
		}
		fault = fmt.Errorf("%w: checkpoint %d: %w", ErrForged, m.Seq, err)
	}
	if w.Floor.Seq > 0 {
		return nil, fault
	}
	return emptyState(), nil
}

// assemble puts the parts of a checkpoint together.
func assemble(m mark, pairs []intent.Pair) (*State, error) {
	var data []byte
	for _, pair := range pairs {
		data = append(data, pair.Value...)
	}
	if sum := HashOf(data); digest(sum) != m.SHA {
		return nil, fmt.Errorf("its %d parts have hash %s, the window says %s", len(pairs), sum, Hash(m.SHA))
	}
	s, err := decodeState(data)
	if err == nil && s.Seq != m.Seq {
		err = fmt.Errorf("it says that it is of commit %d", s.Seq)
	}
	return s, err
}

// afterCommit does what is due once commits were made, and what the next writer will do if this one does not get to it.
func (l *Log) afterCommit(ctx context.Context, c Commit, made int, w window) {
	switch last, _ := w.before(c.Seq); {
	case w.index == 0:
		_, _ = l.turn(ctx, func(*window, Head) ([]store.Change, error) { return nil, nil })
	case c.Seq/every == (c.Seq-uint64(made))/every || c.Seq-last.Seq < every:
	case l.tip.weight >= last.Bytes/4 || c.Seq-last.Seq >= rarest:
		_ = l.checkpoint(ctx, c.Index)
	}
}

// checkpoint keeps the tip whole: first its parts, then the word that they are there.
func (l *Log) checkpoint(ctx context.Context, index uint64) error {
	if err := l.fill(ctx, l.tip); err != nil {
		return err
	}
	if f, ok := l.tip.blind(); ok {
		l.tip = emptyState() // what it rests on may have been compacted away: the log knows a newer base
		return f
	}
	m, err := l.putState(ctx, l.tip, index)
	if err != nil {
		return err
	}
	if _, err := l.turn(ctx, func(w *window, _ Head) ([]store.Change, error) {
		if m.Seq >= w.Floor.Seq {
			w.add(m)
		}
		return nil, nil
	}); err != nil {
		return err
	}
	l.tip.since, l.tip.weight, l.tip.gone = grave{m.Seq, index}, 0, map[string]grave{}
	return nil
}

func (l *Log) putState(ctx context.Context, s *State, index uint64) (mark, error) {
	data := encodeState(s, index)
	m := mark{Seq: s.Seq, At: s.At, Bytes: len(data), SHA: digest(HashOf(data))}
	for part := range slices.Chunk(data, maxPart) {
		key := l.partsPrefix(s.Seq).Key(intent.Name(fmt.Sprintf("%03d", m.Parts)))
		if err := l.store.Put(ctx, key, part); err != nil {
			return m, err
		}
		m.Parts++
	}
	return m, nil
}

// add takes up a checkpoint.
func (w *window) add(m mark) {
	w.Checkpoints = slices.DeleteFunc(w.Checkpoints, func(c mark) bool { return c.Seq == m.Seq })
	w.Checkpoints = append(w.Checkpoints, m)
	slices.SortFunc(w.Checkpoints, func(a, b mark) int { return int(a.Seq) - int(b.Seq) })
}

// turn changes the window as it stands, together with whatever operations change returns.
func (l *Log) turn(ctx context.Context, change func(*window, Head) ([]store.Change, error)) (window, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		head, w, err := l.bounds(ctx)
		if err != nil {
			return w, err
		}
		if w.Born == 0 {
			w.Born = head.created
		}
		more, err := change(&w, head)
		if err != nil {
			return w, err
		}
		_, err = l.store.Commit(ctx, append([]store.Change{{Verb: store.CAS, Key: l.windowKey(), Value: w.encode(), Index: w.index}}, more...))
		if err == nil || !errors.Is(err, store.ErrConflict) {
			return w, err
		}
		if err := sleep(ctx, pause); err != nil {
			return w, err
		}
	}
}

// moved notices that the store was filled anew, from an export: every index is another one. The log's own are then set
// right; it reports whether it had to, and what was read before must be read again.
func (l *Log) moved(ctx context.Context, v look) (bool, error) {
	if v.window.Born == 0 || v.head.Seq == 0 || v.head.created == v.window.Born {
		return false, nil
	}
	s, err := l.Survey(ctx)
	if err != nil {
		return false, err
	}
	_, err = l.turn(ctx, func(w *window, head Head) ([]store.Change, error) {
		w.Born, w.Rebased = head.created, rebase{head.Seq, max(s.Index, head.index)}
		return nil, nil
	})
	return true, err
}
