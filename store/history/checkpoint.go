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
	checkpointMagic       = "pc1"
	maxPart               = 250_000 // bytes per key of a checkpoint
	checkpointInterval    = 100     // minimum commits between two checkpoints
	maxCheckpointInterval = 1000    // maximum commits between two checkpoints
)

// checkpointHeader is a checkpoint without its values.
type checkpointHeader struct {
	Seq     uint64            `json:"s"`
	Index   uint64            `json:"x"`
	At      int64             `json:"t"`
	ID      string            `json:"i"`
	Hash    digest            `json:"h"`
	Faults  []Fault           `json:"f,omitempty"`
	Entries []checkpointEntry `json:"e"`
}

// checkpointEntry is one key of a checkpoint.
type checkpointEntry struct {
	Key      string `json:"k"`
	Seq      uint64 `json:"s"`
	Index    uint64 `json:"x,omitempty"`
	Created  uint64 `json:"c,omitempty"`
	Size     int    `json:"z"`
	Keyframe uint64 `json:"a,omitempty"` // 0 means Seq
	Deltas   int    `json:"d,omitempty"`
}

// encodeState encodes a state whose values are loaded. Equal states give equal bytes.
func encodeState(s *State, index uint64) []byte {
	h := checkpointHeader{Seq: s.Seq, Index: index, At: s.At.UnixMilli(), ID: s.id, Hash: digest(s.Hash), Faults: s.Faults}
	var payload []byte
	for _, key := range slices.Sorted(maps.Keys(s.entries)) {
		e := s.entries[key]
		k := checkpointEntry{Key: key, Seq: e.Seq, Index: e.Index, Created: e.Created, Size: len(e.Data), Deltas: e.deltas}
		if e.keyframe != e.Seq {
			k.Keyframe = e.keyframe
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
	var h checkpointHeader
	if err := json.Unmarshal(plain[n:n+int(size)], &h); err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	s := emptyState()
	s.Seq, s.At, s.Hash, s.id, s.Faults = h.Seq, time.UnixMilli(h.At).UTC(), Hash(h.Hash), h.ID, h.Faults
	s.base = position{h.Seq, h.Index}
	payload := plain[n+int(size):]
	for _, k := range h.Entries {
		if k.Size < 0 || k.Size > len(payload) {
			return nil, fmt.Errorf("the value of %s is cut off", k.Key)
		}
		data := payload[:k.Size:k.Size]
		payload = payload[k.Size:]
		e := entry{Value: Value{Key: k.Key, Data: data, SHA: HashOf(data), Seq: k.Seq, Index: k.Index, Created: k.Created},
			keyframe: k.Keyframe, deltas: k.Deltas}
		if e.keyframe == 0 {
			e.keyframe = e.Seq
		}
		s.entries[k.Key] = e
	}
	return s, nil
}

// baseState returns the newest complete state at or before seq; the empty one before the first commit. It skips damaged
// checkpoints.
func (l *Log) baseState(ctx context.Context, seq uint64, w retentionState) (*State, error) {
	var lastErr error
	for _, m := range slices.Backward(w.Checkpoints) {
		if m.Seq > seq {
			continue
		}
		pairs, _, err := l.store.List(ctx, l.partsPrefix(m.Seq), store.Default)
		if err != nil {
			return nil, err
		}
		s, err := assembleCheckpoint(m, pairs)
		if err == nil {
			return s, nil
		}
		lastErr = fmt.Errorf("%w: checkpoint %d: %w", ErrForged, m.Seq, err)
	}
	if w.Floor.Seq > 0 {
		return nil, lastErr
	}
	return emptyState(), nil
}

// assembleCheckpoint joins the parts of a checkpoint and verifies its hash.
func assembleCheckpoint(m checkpointRef, pairs []intent.Pair) (*State, error) {
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

// maybeCheckpoint writes a checkpoint if one is due after count commits. If it fails or the process dies, the next
// writer does it.
func (l *Log) maybeCheckpoint(ctx context.Context, c Commit, count int, w retentionState) {
	switch last, _ := w.checkpointAt(c.Seq); {
	case w.index == 0:
		_, _ = l.updateRetention(ctx, func(*retentionState, Head) ([]store.Change, error) { return nil, nil })
	case c.Seq/checkpointInterval == (c.Seq-uint64(count))/checkpointInterval || c.Seq-last.Seq < checkpointInterval:
	case l.tip.logBytes >= last.Bytes/4 || c.Seq-last.Seq >= maxCheckpointInterval:
		_ = l.writeCheckpoint(ctx, c.Index)
	}
}

// writeCheckpoint stores the tip: first its parts, then the reference to them.
func (l *Log) writeCheckpoint(ctx context.Context, index uint64) error {
	if err := l.loadStateValues(ctx, l.tip); err != nil {
		return err
	}
	if f, ok := l.tip.missingValue(); ok {
		l.tip = emptyState() // a keyframe may have been compacted away: reload from a newer base
		return f
	}
	m, err := l.storeState(ctx, l.tip, index)
	if err != nil {
		return err
	}
	if _, err := l.updateRetention(ctx, func(w *retentionState, _ Head) ([]store.Change, error) {
		if m.Seq >= w.Floor.Seq {
			w.addCheckpoint(m)
		}
		return nil, nil
	}); err != nil {
		return err
	}
	l.tip.base, l.tip.logBytes, l.tip.deleted = position{m.Seq, index}, 0, map[string]position{}
	return nil
}

func (l *Log) storeState(ctx context.Context, s *State, index uint64) (checkpointRef, error) {
	data := encodeState(s, index)
	m := checkpointRef{Seq: s.Seq, At: s.At, Bytes: len(data), SHA: digest(HashOf(data))}
	for part := range slices.Chunk(data, maxPart) {
		key := l.partsPrefix(s.Seq).Key(intent.Name(fmt.Sprintf("%03d", m.Parts)))
		if err := l.store.Put(ctx, key, part); err != nil {
			return m, err
		}
		m.Parts++
	}
	return m, nil
}

// addCheckpoint adds a reference, or replaces the one of the same commit.
func (w *retentionState) addCheckpoint(m checkpointRef) {
	w.Checkpoints = slices.DeleteFunc(w.Checkpoints, func(c checkpointRef) bool { return c.Seq == m.Seq })
	w.Checkpoints = append(w.Checkpoints, m)
	slices.SortFunc(w.Checkpoints, func(a, b checkpointRef) int { return int(a.Seq) - int(b.Seq) })
}

// updateRetention changes the retention state, in one transaction with the operations that change returns. It retries
// on conflicts.
func (l *Log) updateRetention(ctx context.Context, change func(*retentionState, Head) ([]store.Change, error)) (retentionState, error) {
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		head, w, err := l.readBounds(ctx)
		if err != nil {
			return w, err
		}
		if w.HeadCreated == 0 {
			w.HeadCreated = head.created
		}
		more, err := change(&w, head)
		if err != nil {
			return w, err
		}
		_, err = l.store.Commit(ctx, append([]store.Change{{Verb: store.CAS, Key: l.retentionKey(), Value: w.encode(), Index: w.index}}, more...))
		if err == nil || !errors.Is(err, store.ErrConflict) {
			return w, err
		}
		if err := sleep(ctx, backoff); err != nil {
			return w, err
		}
	}
}

// detectReset detects that the store was filled again from an export, so that every index changed, and records that. If
// it returns true, earlier reads are outdated.
func (l *Log) detectReset(ctx context.Context, v headState) (bool, error) {
	if v.retention.HeadCreated == 0 || v.head.Seq == 0 || v.head.created == v.retention.HeadCreated {
		return false, nil
	}
	s, err := l.Survey(ctx)
	if err != nil {
		return false, err
	}
	_, err = l.updateRetention(ctx, func(w *retentionState, head Head) ([]store.Change, error) {
		w.HeadCreated, w.IndexReset = head.created, indexReset{head.Seq, max(s.Index, head.index)}
		return nil, nil
	})
	return true, err
}
