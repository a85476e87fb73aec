package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Tag is a name for a commit, which protects it from compaction.
type Tag struct {
	Name   string    `json:"-"`
	Seq    uint64    `json:"seq"`
	Note   string    `json:"note,omitempty"`
	Author Author    `json:"author"`
	At     time.Time `json:"at"`
}

// ErrExists: the name is taken.
var ErrExists = errors.New("exists already")

// Tag names a commit. Tag.At is set to the present; Seq 0 means the newest commit. If the name is taken the error is
// [ErrExists].
func (l *Log) Tag(ctx context.Context, t Tag) (Tag, error) {
	name, err := intent.ParseName(t.Name)
	if err != nil {
		return t, fmt.Errorf("tag: %w", err)
	}
	key := l.prefix.Join("tag").Key(name)
	wanted := t.Seq
	_, err = l.updateRetention(ctx, func(w *retentionState, head Head) ([]store.Change, error) {
		if _, found, err := l.store.Get(ctx, key, store.Default); err != nil || found {
			return nil, errors.Join(err, errIfTaken(found, "tag "+t.Name))
		}
		if t.Seq = wanted; t.Seq == 0 {
			t.Seq = head.Seq
		}
		if t.Seq == 0 {
			return nil, fmt.Errorf("tag %s: %w: there is no commit yet", t.Name, ErrNoSuch)
		}
		if err := w.checkReadable(t.Seq, head); err != nil {
			return nil, fmt.Errorf("tag %s: %w", t.Name, err)
		}
		w.Pins++
		t.At = l.now().UTC().Truncate(time.Millisecond)
		return []store.Change{{Verb: store.CAS, Key: key, Value: encodeJSON(t)}}, nil
	})
	return t, err
}

func errIfTaken(yes bool, what string) error {
	if yes {
		return fmt.Errorf("%s: %w", what, ErrExists)
	}
	return nil
}

// Untag removes a tag.
func (l *Log) Untag(ctx context.Context, name string) error {
	n, err := intent.ParseName(name)
	if err != nil {
		return fmt.Errorf("untag: %w", err)
	}
	key := l.prefix.Join("tag").Key(n)
	_, found, err := l.store.Get(ctx, key, store.Default)
	if err == nil && !found {
		err = fmt.Errorf("tag %s: %w", name, ErrNoSuch)
	}
	if err != nil {
		return err
	}
	return l.store.Delete(ctx, key)
}

// Tagged returns the tag of a name, or [ErrNoSuch].
func (l *Log) Tagged(ctx context.Context, name string) (Tag, error) {
	n, err := intent.ParseName(name)
	if err != nil {
		return Tag{}, fmt.Errorf("tag: %w", err)
	}
	pair, found, err := l.store.Get(ctx, l.prefix.Join("tag").Key(n), store.Default)
	if err == nil && !found {
		err = fmt.Errorf("tag %s: %w", name, ErrNoSuch)
	}
	if err != nil {
		return Tag{}, err
	}
	return parseTag(name, pair)
}

func parseTag(name string, pair intent.Pair) (Tag, error) {
	t := Tag{Name: name}
	if err := json.Unmarshal(pair.Value, &t); err != nil {
		return t, fmt.Errorf("read %s: %w: %w", pair.Key, ErrForged, err)
	}
	return t, nil
}

// Tags lists the tags by name.
func (l *Log) Tags(ctx context.Context) (tags []Tag, err error) {
	prefix := l.prefix.Join("tag")
	pairs, _, err := l.store.List(ctx, prefix, store.Default)
	for _, pair := range pairs {
		name, _ := prefix.Below(pair.Key)
		t, err := parseTag(name, pair)
		if err != nil {
			return nil, err
		}
		tags = append(tags, t)
	}
	return tags, err
}

func encodeJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // only strings, numbers and times are written here
	}
	return data
}
