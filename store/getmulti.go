package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/platypus-platform/platypus/intent"
)

// Together reads several keys, at most [MostOps], at one moment. The pairs have the order of the keys; an absent key
// has ModifyIndex 0. Consul versions that cannot do this are asked key by key: then the reads are not atomic, and only
// a check of the indexes in a later transaction makes sure.
func (s *Store) Together(ctx context.Context, keys []string) ([]intent.Pair, error) {
	ops := make(api.TxnOps, 0, len(keys))
	for _, key := range keys {
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVGetOrEmpty, Key: key}})
	}
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ok, response, _, err := s.client.Load().Txn().Txn(ops, new(api.QueryOptions).WithContext(bounded))
	if err != nil {
		return nil, s.classify("read together", err)
	}
	if !ok {
		what := fmt.Sprint(response.Errors)
		if len(response.Errors) > 0 {
			what = response.Errors[0].What
		}
		switch {
		case strings.Contains(what, "unknown KV verb"):
			return s.getEach(ctx, keys)
		case strings.Contains(what, "Permission denied"):
			return nil, fmt.Errorf("read together: %w: %s", ErrDenied, what)
		}
		return nil, fmt.Errorf("read together: %s", what)
	}
	// Consul omits a denied key from the response instead of returning an error.
	if len(response.Results) != len(keys) {
		return nil, fmt.Errorf("read %d keys together: %w: %d came back", len(keys), ErrDenied, len(response.Results))
	}
	pairs := make([]intent.Pair, 0, len(keys))
	for _, r := range response.Results {
		pairs = append(pairs, pairOf(r.KV))
	}
	return pairs, nil
}

func (s *Store) getEach(ctx context.Context, keys []string) (pairs []intent.Pair, err error) {
	for _, key := range keys {
		pair, found, err := s.Get(ctx, key, Default)
		if err != nil {
			return nil, err
		}
		if !found {
			pair = intent.Pair{Key: key}
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}
