package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// The bounds of one transaction.
const (
	MaxOps  = 64        // operations that every Consul there is takes
	MostOps = 128       // operations that Consul takes since 1.14
	MaxBody = 512 << 10 // bytes of the request, values in base64, as Consul is set up by default
)

// Put writes one key. An error that is [ErrUnknown] leaves open whether it did.
func (s *Store) Put(ctx context.Context, key string, value []byte) error {
	if err := s.dry(Change{Verb: Set, Key: key, Value: value}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := s.kv().Put(&api.KVPair{Key: key, Value: value}, new(api.WriteOptions).WithContext(ctx))
	return s.explainWrite("write "+key, err)
}

// Delete removes one key; a key that is absent is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.dry(Change{Verb: Remove, Key: key}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := s.kv().Delete(key, new(api.WriteOptions).WithContext(ctx))
	return s.explainWrite("delete "+key, err)
}

// Change is one operation of a transaction.
type Change struct {
	Verb  Verb
	Key   string
	Value []byte
	Index uint64 // ModifyIndex that CAS, DeleteCAS and CheckIndex ask for; CAS with 0 only creates
	Flags uint64 // kept beside the value by Set and CAS
}

// Verb is what a change does.
type Verb string

// The verbs, by their names on the wire.
const (
	Set            Verb = Verb(api.KVSet)
	CAS            Verb = Verb(api.KVCAS)
	Remove         Verb = Verb(api.KVDelete)
	DeleteCAS      Verb = Verb(api.KVDeleteCAS)
	CheckIndex     Verb = Verb(api.KVCheckIndex)
	CheckNotExists Verb = Verb(api.KVCheckNotExists)
)

// Commit does all changes or none, and returns the index at which they happened. When another writer came first the
// error is [ErrConflict] and names the key; when the answer did not arrive it is [ErrUnknown].
func (s *Store) Commit(ctx context.Context, changes []Change) (uint64, error) {
	if err := Fits(changes); err != nil {
		return 0, err
	}
	if err := s.dry(changes...); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ok, response, _, err := s.client.Load().Txn().Txn(txnOps(changes), new(api.QueryOptions).WithContext(ctx))
	if err = s.explainWrite("commit", err); errors.Is(err, ErrTooLarge) && len(changes) > MaxOps {
		return 0, fmt.Errorf("%w (Consul before 1.14 takes %d operations in a transaction, not %d)", err, MaxOps, len(changes))
	}
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, refused(changes, response.Errors)
	}
	var index uint64
	for _, r := range response.Results {
		if r.KV != nil {
			index = max(index, r.KV.ModifyIndex)
		}
	}
	return index, nil
}

func refused(changes []Change, errs api.TxnErrors) error {
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

// Leader returns the address of the store's leader: the cheapest proof that it answers.
func (s *Store) Leader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leader, err := s.client.Load().Status().LeaderWithQueryOptions(new(api.QueryOptions).WithContext(ctx))
	if err == nil && leader == "" {
		err = api.StatusError{Code: http.StatusInternalServerError, Body: "no cluster leader"}
	}
	return leader, s.explain("ask for the leader", err)
}

// Gone reports whether key is absent, by a consistent read. Not being allowed to read it is an error, not absence.
func (s *Store) Gone(ctx context.Context, key string) (bool, error) {
	_, found, err := s.Get(ctx, key, Consistent)
	return err == nil && !found, err
}
