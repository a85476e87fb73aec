package conformance

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// testClient uses the store through Consul's own Go client, the way programs do.
func testClient(t *testing.T, s *server) {
	kv := s.api.KV()
	if pair, meta, err := kv.Get(s.prefix+"a", nil); err != nil || pair != nil || meta.LastIndex == 0 || !meta.KnownLeader {
		t.Errorf("missing: %v, %+v, %v", pair, meta, err)
	}
	if _, err := kv.Put(&api.KVPair{Key: s.prefix + "a", Value: []byte("1"), Flags: 5}, nil); err != nil {
		t.Error(err)
	}
	pair, _, err := kv.Get(s.prefix+"a", &api.QueryOptions{RequireConsistent: true})
	if err != nil || string(pair.Value) != "1" || pair.Flags != 5 {
		t.Errorf("get: %v, %v", pair, err)
	}
	pair.Value = []byte("2")
	if ok, _, err := kv.CAS(pair, nil); err != nil || !ok {
		t.Errorf("cas: %v, %v", ok, err)
	}
	if ok, _, err := kv.CAS(pair, nil); err != nil || ok {
		t.Errorf("stale cas: %v, %v", ok, err)
	}
	ok, response, _, err := s.api.Txn().Txn(api.TxnOps{
		{KV: &api.KVTxnOp{Verb: api.KVSet, Key: s.prefix + "b", Value: []byte("3")}},
		{KV: &api.KVTxnOp{Verb: api.KVGet, Key: s.prefix + "a"}},
	}, nil)
	if err != nil || !ok || len(response.Results) != 2 || string(response.Results[1].KV.Value) != "2" {
		t.Errorf("txn: %v, %+v, %v", ok, response, err)
	}
	ok, response, _, err = s.api.Txn().Txn(api.TxnOps{{KV: &api.KVTxnOp{Verb: api.KVCheckNotExists, Key: s.prefix + "a"}}}, nil)
	if err != nil || ok || len(response.Errors) != 1 {
		t.Errorf("failing txn: %v, %+v, %v", ok, response, err)
	}
	if keys, _, err := kv.Keys(s.prefix, "/", nil); err != nil || len(keys) != 2 {
		t.Errorf("keys: %v, %v", keys, err)
	}
	if _, err := kv.DeleteTree(s.prefix, nil); err != nil {
		t.Error(err)
	}
	if list, _, err := kv.List(s.prefix, nil); err != nil || len(list) != 0 {
		t.Errorf("list: %v, %v", list, err)
	}
	t.Run("lock", s.clientLock)
	t.Run("semaphore", s.clientSemaphore)
}

func (s *server) clientLock(t *testing.T) {
	open := func() *api.Lock {
		lock, err := s.api.LockOpts(&api.LockOptions{Key: s.prefix + "lock", LockWaitTime: time.Second, LockTryOnce: true, SessionTTL: "10s"})
		if err != nil {
			t.Fatal(err)
		}
		return lock
	}
	first, second := open(), open()
	if lost, err := first.Lock(nil); err != nil || lost == nil {
		t.Fatalf("lock: %v, %v", lost, err)
	}
	if lost, err := second.Lock(nil); err != nil || lost != nil {
		t.Errorf("a second holder: %v, %v", lost, err)
	}
	if err := first.Unlock(); err != nil {
		t.Error(err)
	}
	if lost, err := second.Lock(nil); err != nil || lost == nil {
		t.Errorf("the next holder: %v, %v", lost, err)
	}
	if err := second.Unlock(); err != nil {
		t.Error(err)
	}
	if err := second.Destroy(); err != nil {
		t.Error(err)
	}
}

func (s *server) clientSemaphore(t *testing.T) {
	semaphore, err := s.api.SemaphorePrefix(s.prefix+"semaphore", 2)
	if err != nil {
		t.Fatal(err)
	}
	if lost, err := semaphore.Acquire(nil); err != nil || lost == nil {
		t.Fatalf("acquire: %v, %v", lost, err)
	}
	if err := semaphore.Release(); err != nil {
		t.Error(err)
	}
}
