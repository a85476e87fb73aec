package store

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"

	"github.com/platypus-platform/platypus/intent"
)

// Names lists the keys below a prefix without their values, sorted.
func (s *Store) Names(ctx context.Context, prefix intent.Prefix) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	verb := fmt.Sprintf("list %q", prefix)
	names, meta, err := s.kv().Keys(string(prefix), "", new(api.QueryOptions).WithContext(ctx))
	switch {
	case err != nil:
		return nil, s.classify(verb, err)
	case meta.LastIndex == 0:
		return nil, fmt.Errorf("%s: %w", verb, errNotConsul)
	case meta.ResultsFilteredByACLs:
		return nil, fmt.Errorf("%s: %w: part of the answer was filtered out", verb, ErrDenied)
	case len(names) == 0:
		return nil, s.checkReadable(ctx, prefix)
	}
	return names, nil
}
