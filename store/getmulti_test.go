package store_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

func TestTogether_PresentAndAbsentKeys_AreReadInOrder(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		a, none, b := tree.Own().Key("a"), tree.Own().Key("none"), tree.Own().Key("b")
		put(t, s, a, "1")
		put(t, s, b, "2")
		pairs, err := s.Together(t.Context(), []string{b, none, a})
		if err != nil || len(pairs) != 3 || string(pairs[0].Value) != "2" || pairs[1].ModifyIndex != 0 || pairs[1].Key != none || string(pairs[2].Value) != "1" {
			t.Errorf("%+v, %v", pairs, err)
		}
		names, err := s.Names(t.Context(), tree.Own())
		if err != nil || strings.Join(names, " ") != a+" "+b {
			t.Error(names, err)
		}
	})
}

// TestSize_AtTheLimit_MatchesConsul sends requests of exactly the size limit, and of one byte more, to Consul.
func TestSize_AtTheLimit_MatchesConsul(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		changes := []store.Change{{Verb: store.Set, Key: tree.Own().Key("a"), Value: []byte("<&>")}, {Verb: store.Set, Key: tree.Own().Key("b")}}
		changes[1].Value = make([]byte, (store.MaxBody-store.Size(changes))/4*3-9)
		for store.Size(changes) < store.MaxBody {
			changes[0].Key += "x"
		}
		if size := store.Size(changes); size != store.MaxBody {
			t.Fatalf("%d bytes", size)
		}
		if _, err := s.Commit(t.Context(), changes); err != nil {
			t.Errorf("a request of exactly %d bytes: %v", store.MaxBody, err)
		}
		changes[0].Key += "x"
		if _, err := s.Commit(t.Context(), changes); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), fmt.Sprint(store.MaxBody)) {
			t.Errorf("a byte more: %v", err)
		}
	})
}

// TestStore_ConsulBefore114_FallsBack: fewer operations per transaction, and no get-or-empty.
func TestStore_ConsulBefore114_FallsBack(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		switch body := new(strings.Builder); {
		case r.URL.Path == "/v1/kv/a":
			fmt.Fprint(w, `[{"Key":"a","Value":"MQ==","ModifyIndex":7,"CreateIndex":7}]`)
		case strings.HasPrefix(r.URL.Path, "/v1/kv/"):
			w.WriteHeader(http.StatusNotFound)
		default:
			buffer := make([]byte, 1<<16)
			for {
				n, err := r.Body.Read(buffer)
				if body.Write(buffer[:n]); err != nil {
					break
				}
			}
			if strings.Count(body.String(), `"Verb"`) > store.MaxOps {
				http.Error(w, "Transaction contains too many operations (65 > 64)", http.StatusRequestEntityTooLarge)
				return
			}
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"Results":null,"Errors":[{"OpIndex":0,"What":"unknown KV verb \"get-or-empty\""}]}`)
		}
	}))
	defer server.Close()
	s := opened(t, server.URL)
	pairs, err := s.Together(t.Context(), []string{"none", "a"})
	if err != nil || len(pairs) != 2 || pairs[0].ModifyIndex != 0 || string(pairs[1].Value) != "1" {
		t.Errorf("%+v, %v", pairs, err)
	}
	many := make([]store.Change, store.MaxOps+1)
	for i := range many {
		many[i] = store.Change{Verb: store.Set, Key: fmt.Sprint("a", i)}
	}
	if _, err := s.Commit(t.Context(), many); !errors.Is(err, store.ErrTooLarge) || !strings.Contains(err.Error(), "before 1.14 takes 64") {
		t.Error(err)
	}
}
