package store

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/platypus-platform/platypus/intent"
)

// Mode is the consistency of a read.
type Mode bool

// The modes: Default trusts the leader's lease, Consistent makes the leader confirm with its peers. Reads that decide
// about a removal must be Consistent.
const (
	Default    Mode = false
	Consistent Mode = true
)

// errNotConsul is the error for a response without an index, which Consul always sends. A 404 of a misconfigured proxy,
// or of another server at the address, must not count as an absent key.
var errNotConsul = fmt.Errorf("%w: its answer has no index, so it does not come from Consul's KV", ErrUnreachable)

// Get reads one key; found is false if it does not exist. A denied read is [ErrDenied], never absence.
func (s *Store) Get(ctx context.Context, key string, mode Mode) (pair intent.Pair, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := &api.QueryOptions{RequireConsistent: bool(mode)}
	verb := "read " + key
	p, meta, err := s.kv().Get(key, options.WithContext(ctx))
	switch {
	case err != nil:
		return intent.Pair{}, false, s.classify(verb, err)
	case meta.LastIndex == 0:
		return intent.Pair{}, false, fmt.Errorf("%s: %w", verb, errNotConsul)
	case p == nil:
		return intent.Pair{}, false, nil
	}
	return pairOf(p), true, nil
}

// List reads every key below prefix, and the index at which the result last changed.
func (s *Store) List(ctx context.Context, prefix intent.Prefix, mode Mode) ([]intent.Pair, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return s.list(ctx, prefix, &api.QueryOptions{RequireConsistent: bool(mode)})
}

func (s *Store) list(ctx context.Context, prefix intent.Prefix, options *api.QueryOptions) ([]intent.Pair, uint64, error) {
	verb := fmt.Sprintf("list %q", prefix)
	found, meta, err := s.kv().List(string(prefix), options.WithContext(ctx))
	if err != nil {
		return nil, 0, s.classify(verb, err)
	}
	if meta.LastIndex == 0 {
		return nil, 0, fmt.Errorf("%s: %w", verb, errNotConsul)
	}
	if meta.ResultsFilteredByACLs {
		return nil, 0, s.filteredError(verb)
	}
	if len(found) == 0 {
		if err := s.checkReadable(ctx, prefix); err != nil {
			return nil, 0, err
		}
	}
	pairs := make([]intent.Pair, 0, len(found))
	for _, p := range found {
		pairs = append(pairs, pairOf(p))
	}
	return pairs, meta.LastIndex, nil
}

// checkReadable distinguishes an empty prefix from a denied one. Consul answers a denied list like an empty one, and
// without a token does not even report that it was filtered; it does deny the read of a single key.
func (s *Store) checkReadable(ctx context.Context, prefix intent.Prefix) error {
	key := prefix.Key("any")
	_, _, err := s.kv().Get(key, new(api.QueryOptions).WithContext(ctx))
	return s.classify("read "+key, err)
}

// Blank reports whether nothing exists below prefix, by a consistent read without values.
func (s *Store) Blank(ctx context.Context, prefix intent.Prefix) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	options := &api.QueryOptions{RequireConsistent: true}
	names, meta, err := s.kv().Keys(string(prefix), "/", options.WithContext(ctx))
	verb := fmt.Sprintf("list %q", prefix)
	switch {
	case err != nil:
		return false, s.classify(verb, err)
	case meta.LastIndex == 0:
		return false, fmt.Errorf("%s: %w", verb, errNotConsul)
	case meta.ResultsFilteredByACLs:
		return false, s.filteredError(verb)
	case len(names) > 0:
		return false, nil
	}
	err = s.checkReadable(ctx, prefix)
	return err == nil, err
}
