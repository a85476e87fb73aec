package store_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// changingStore is a server that answers every read at once with a new state.
func changingStore(t *testing.T, size int) (s *store.Store, reads *atomic.Int64) {
	reads = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := reads.Add(1)
		value := base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%d%s", n, strings.Repeat(" ", size))))
		w.Header().Set("X-Consul-Index", fmt.Sprint(n))
		fmt.Fprintf(w, `[{"Key":"p/k","Value":%q,"CreateIndex":1,"ModifyIndex":%d}]`, value, n)
	}))
	t.Cleanup(server.Close)
	return opened(t, server.URL), reads
}

// TestWatch_ConstantChange_LimitsReads counts the reads of a prefix that changes constantly: a burst, then four a
// second; for large values almost no burst.
func TestWatch_ConstantChange_LimitsReads(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		what        string
		size, quick int
	}{{"small", 10, 50}, {"large", 200_000, 8}, {"larger than the burst", 4 << 20, 1}} {
		t.Run(of.what, func(t *testing.T) {
			t.Parallel()
			s, reads := changingStore(t, of.size)
			ctx, cancel := context.WithCancel(t.Context())
			begin := time.Now()
			from := s.Watch(ctx, "p/", func(intent.Prefix, error) {})
			for enough := int64(of.quick + 4); reads.Load() < enough; {
				select {
				case <-from:
				case <-time.After(hang):
					t.Fatalf("%d reads and no more", reads.Load())
				}
			}
			cancel()
			n, most := reads.Load(), float64(of.quick)+1+time.Since(begin).Seconds()*4
			if float64(n) > most {
				t.Errorf("%d reads in %s, want %.1f at most", n, time.Since(begin), most)
			}
		})
	}
}

func TestWatchAfter_Index_DeliversOnlyNewerState(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store, tree intent.Tree) {
		key := tree.Region("SIN")
		index, err := s.Commit(t.Context(), []store.Change{{Verb: store.Set, Key: key, Value: []byte("1")}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		from := s.WatchAfter(ctx, tree.Regions(), index, func(intent.Prefix, error) {})
		put(t, s, key, "2")
		select {
		case snapshot := <-from:
			if len(snapshot.Pairs) != 1 || string(snapshot.Pairs[0].Value) != "2" || snapshot.Index <= index {
				t.Errorf("%+v after %d", snapshot, index)
			}
		case <-time.After(hang):
			t.Fatal("no news")
		}
	})
}
