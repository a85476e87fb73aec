package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Limits of one transaction.
const (
	MaxOps  = 64        // operations that every Consul version accepts
	MostOps = 128       // operations that Consul accepts since 1.14
	MaxBody = 512 << 10 // bytes of the request, with values in base64; Consul's default
)

// Put writes one key. If the error is [ErrUnknown] the write may have happened.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := s.rejectDryRun(Change{Verb: Set, Key: key, Value: value}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := s.kv().Put(&api.KVPair{Key: key, Value: value}, new(api.WriteOptions).WithContext(ctx))
	return s.classifyWrite("write "+key, err)
}

// Delete removes one key; an absent key is not an error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.rejectDryRun(Change{Verb: Remove, Key: key}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := s.kv().Delete(key, new(api.WriteOptions).WithContext(ctx))
	return s.classifyWrite("delete "+key, err)
}

// Change is one operation of a transaction.
type Change struct {
	Verb  Verb
	Key   string
	Value []byte
	Index uint64 // ModifyIndex required by CAS, DeleteCAS and CheckIndex; CAS with 0 only creates
	Flags uint64 // stored with the value by Set and CAS
}

// Verb is the operation of a change.
type Verb string

// The verbs, with their names on the wire.
const (
	Set            Verb = Verb(api.KVSet)
	CAS            Verb = Verb(api.KVCAS)
	Remove         Verb = Verb(api.KVDelete)
	DeleteCAS      Verb = Verb(api.KVDeleteCAS)
	CheckIndex     Verb = Verb(api.KVCheckIndex)
	CheckNotExists Verb = Verb(api.KVCheckNotExists)
)

// Commit applies all changes or none, and returns their index. If another writer was first the error is [ErrConflict]
// and names the key; if the response did not arrive it is [ErrUnknown].
func (s *Store) Commit(ctx context.Context, changes []Change) (uint64, error) {
	if err := Fits(changes); err != nil {
		return 0, err
	}
	if err := s.rejectDryRun(changes...); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ok, response, _, err := s.client.Load().Txn().Txn(txnOps(changes), new(api.QueryOptions).WithContext(ctx))
	if err = s.classifyWrite("commit", err); errors.Is(err, ErrTooLarge) && len(changes) > MaxOps {
		return 0, fmt.Errorf("%w (Consul before 1.14 takes %d operations in a transaction, not %d)", err, MaxOps, len(changes))
	}
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, txnError(changes, response.Errors)
	}
	var index uint64
	for _, r := range response.Results {
		if r.KV != nil {
			index = max(index, r.KV.ModifyIndex)
		}
	}
	return index, nil
}

func txnError(changes []Change, errs api.TxnErrors) error {
	if len(errs) == 0 {
		return fmt.Errorf("commit: %w", ErrConflict)
	}
	e := errs[0]
	key := ""
	if e.OpIndex >= 0 && e.OpIndex < len(changes) {
		key = " " + changes[e.OpIndex].Key
	}
	if strings.Contains(e.What, "Permission denied") {
		return fmt.Errorf("commit%s: %w: %s", key, ErrDenied, e.What)
	}
	return fmt.Errorf("commit%s: %w: %s", key, ErrConflict, e.What)
}

// Leader returns the address of the store's leader: the cheapest check that the store responds.
func (s *Store) Leader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leader, err := s.client.Load().Status().LeaderWithQueryOptions(new(api.QueryOptions).WithContext(ctx))
	if err == nil && leader == "" {
		err = api.StatusError{Code: http.StatusInternalServerError, Body: "no cluster leader"}
	}
	return leader, s.classify("ask for the leader", err)
}

// Gone reports whether key is absent, by a consistent read. A denied read is an error, not absence.
func (s *Store) Gone(ctx context.Context, key string) (bool, error) {
	_, found, err := s.Get(ctx, key, Consistent)
	return err == nil && !found, err
}
