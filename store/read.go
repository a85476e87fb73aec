package store

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/platypus-platform/platypus/intent"
)

// Mode is how sure a read must be.
type Mode bool

// The modes: Default trusts the leader's lease, Consistent makes the leader ask its peers. What decides over a removal
// is read in Consistent.
const (
	Default    Mode = false
	Consistent Mode = true
)

// errNotConsul is what an answer without an index means. A store never sends one: a "404" of a proxy that has lost its
// way, or of another server at the same address, must not count as "there is no such key".
var errNotConsul = fmt.Errorf("%w: its answer has no index, so it does not come from Consul's KV", ErrUnreachable)

// Get reads one key; found is false when it does not exist. A key that may not be read is [ErrDenied], never absent.
func (s *Store) Get(ctx context.Context, key string, mode Mode) (pair intent.Pair, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := &api.QueryOptions{RequireConsistent: bool(mode)}
	verb := "read " + key
	p, meta, err := s.kv().Get(key, options.WithContext(ctx))
	switch {
	case err != nil:
		return intent.Pair{}, false, s.explain(verb, err)
	case meta.LastIndex == 0:
		return intent.Pair{}, false, fmt.Errorf("%s: %w", verb, errNotConsul)
	case p == nil:
		return intent.Pair{}, false, nil
	}
	return pairOf(p), true, nil
}

// List reads every key below prefix, and the index at which the answer last changed.
func (s *Store) List(ctx context.Context, prefix intent.Prefix, mode Mode) ([]intent.Pair, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return s.list(ctx, prefix, &api.QueryOptions{RequireConsistent: bool(mode)})
}

func (s *Store) list(ctx context.Context, prefix intent.Prefix, options *api.QueryOptions) ([]intent.Pair, uint64, error) {
	verb := fmt.Sprintf("list %q", prefix)
	found, meta, err := s.kv().List(string(prefix), options.WithContext(ctx))
	if err != nil {
		return nil, 0, s.explain(verb, err)
	}
	if meta.LastIndex == 0 {
		return nil, 0, fmt.Errorf("%s: %w", verb, errNotConsul)
	}
	if meta.ResultsFilteredByACLs {
		return nil, 0, s.filtered(verb)
	}
	if len(found) == 0 {
		if err := s.mayRead(ctx, prefix); err != nil {
			return nil, 0, err
		}
	}
	pairs := make([]intent.Pair, 0, len(found))
	for _, p := range found {
		pairs = append(pairs, pairOf(p))
	}
	return pairs, meta.LastIndex, nil
}

// mayRead tells an empty prefix from a forbidden one. Consul answers a list that it may not show as if nothing were
// there, and to who has no token it does not even say that something was filtered out; one key it refuses.
func (s *Store) mayRead(ctx context.Context, prefix intent.Prefix) error {
	key := prefix.Key("any")
	_, _, err := s.kv().Get(key, new(api.QueryOptions).WithContext(ctx))
	return s.explain("read "+key, err)
}

// Blank reports whether nothing at all lies below prefix, by a consistent read that carries names alone.
func (s *Store) Blank(ctx context.Context, prefix intent.Prefix) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := &api.QueryOptions{RequireConsistent: true}
	names, meta, err := s.kv().Keys(string(prefix), "/", options.WithContext(ctx))
	verb := fmt.Sprintf("list %q", prefix)
	switch {
	case err != nil:
		return false, s.explain(verb, err)
	case meta.LastIndex == 0:
		return false, fmt.Errorf("%s: %w", verb, errNotConsul)
	case meta.ResultsFilteredByACLs:
		return false, s.filtered(verb)
	case len(names) > 0:
		return false, nil
	}
	err = s.mayRead(ctx, prefix)
	return err == nil, err
}
