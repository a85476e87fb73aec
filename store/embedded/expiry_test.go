package embedded_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/platypus-platform/platypus/store/embedded"
)

// fakeClockStore is a store in a synctest bubble, where time passes at once.
type fakeClockStore struct {
	t     *testing.T
	store *embedded.Store
	dir   string
}

func newFakeClockStore(t *testing.T) *fakeClockStore {
	x := &fakeClockStore{t: t, dir: t.TempDir()}
	x.reopen()
	return x
}

// reopen starts a store on the data of the one before.
func (x *fakeClockStore) reopen() {
	x.t.Helper()
	x.close()
	s, err := embedded.Open(x.dir, embedded.Options{Node: "n1"})
	if err != nil {
		x.t.Fatal(err)
	}
	x.store = s
}

func (x *fakeClockStore) close() {
	x.t.Helper()
	if x.store == nil {
		return
	}
	if err := x.store.Close(); err != nil {
		x.t.Error(err)
	}
	x.store = nil
}

func (x *fakeClockStore) do(method, path, body string) (code int, index uint64, answer string) {
	w := httptest.NewRecorder()
	x.store.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	index, _ = strconv.ParseUint(w.Header().Get("X-Consul-Index"), 10, 64)
	return w.Code, index, w.Body.String()
}

func (x *fakeClockStore) is(method, path, body, want string) {
	x.t.Helper()
	if code, _, answer := x.do(method, path, body); answer != want {
		x.t.Errorf("%s %s: %d %q, want %q", method, path, code, answer, want)
	}
}

func (x *fakeClockStore) session(body string) string {
	x.t.Helper()
	_, _, answer := x.do("PUT", "/v1/session/create", body)
	parts := strings.Split(answer, `"`)
	if len(parts) < 4 {
		x.t.Fatalf("session: %s", answer)
	}
	return parts[3]
}

func TestSession_NotRenewed_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newFakeClockStore(t)
		defer x.close()
		release, drop := x.session(`{"TTL":"10s"}`), x.session(`{"TTL":"10s","Behavior":"delete"}`)
		kept, endless := x.session(`{"TTL":"24h","LockDelay":"0s"}`), x.session("")
		for name, id := range map[string]string{"release": release, "drop": drop, "kept": kept, "endless": endless} {
			x.is("PUT", "/v1/kv/"+name+"?acquire="+id, "1", "true")
		}
		time.Sleep(9 * time.Second)
		x.is("GET", "/v1/kv/drop?raw", "", "1")
		x.do("PUT", "/v1/session/renew/"+drop, "")
		time.Sleep(9 * time.Second) // release is 18 s old; drop was renewed 9 s ago
		x.is("GET", "/v1/kv/drop?raw", "", "1")
		x.is("PUT", "/v1/kv/release?acquire="+endless, "2", "false")
		if code, _, answer := x.do("PUT", "/v1/session/renew/"+release, ""); code != http.StatusNotFound {
			t.Errorf("a session lives for 18 s: %d %s", code, answer)
		}
		time.Sleep(11 * time.Second)
		if code, _, _ := x.do("GET", "/v1/kv/drop", ""); code != http.StatusNotFound {
			t.Errorf("what was to be deleted is there: %d", code)
		}
		x.is("PUT", "/v1/kv/release?acquire="+endless, "2", "false") // its lock delay of 15 s began when it ended
		time.Sleep(2 * time.Second)
		x.is("PUT", "/v1/kv/release?acquire="+endless, "2", "true")
		for range 3 {
			time.Sleep(24 * time.Hour)
			x.do("PUT", "/v1/session/renew/"+kept, "")
		}
		x.is("PUT", "/v1/kv/kept?acquire="+endless, "2", "false")
		time.Sleep(10 * 24 * time.Hour)
		x.is("PUT", "/v1/kv/kept?acquire="+endless, "2", "true")
		x.is("PUT", "/v1/kv/endless?acquire="+kept, "2", fmt.Sprintf("invalid session %q", kept))
	})
}

// TestLockDelay_StoreRestarted_StillHolds: a restart does not cancel a lock delay, and a delay that ended leaves
// nothing behind.
func TestLockDelay_StoreRestarted_StillHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newFakeClockStore(t)
		defer x.close()
		first, next := x.session(`{"LockDelay":"30s"}`), x.session("")
		x.is("PUT", "/v1/kv/l?acquire="+first, "1", "true")
		x.is("PUT", "/v1/session/destroy/"+first, "", "true")
		x.reopen()
		time.Sleep(29 * time.Second)
		x.is("PUT", "/v1/kv/l?acquire="+next, "2", "false")
		time.Sleep(2 * time.Second)
		x.is("PUT", "/v1/kv/l?acquire="+next, "2", "true")
		x.is("PUT", "/v1/kv/l?release="+next, "2", "true")
		time.Sleep(2 * time.Minute)
		x.reopen()
		x.is("PUT", "/v1/kv/l?acquire="+next, "3", "true")
	})
}

// TestTombstones_Expired_AreRemoved: a client that waits during the removal misses nothing, and no index becomes 0.
func TestTombstones_Expired_AreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newFakeClockStore(t)
		defer x.close()
		x.is("PUT", "/v1/kv/t/old", "1", "true")
		_, old, _ := x.do("GET", "/v1/kv/t/?recurse", "")
		x.is("PUT", "/v1/kv/t/a", "1", "true")
		x.is("PUT", "/v1/kv/u/a", "1", "true")
		x.is("DELETE", "/v1/kv/t/a", "", "true")
		x.is("DELETE", "/v1/kv/u/?recurse", "", "true")
		_, buried, _ := x.do("GET", "/v1/kv/t/?recurse", "")
		if buried <= old {
			t.Fatalf("index %d after a delete, before %d", buried, old)
		}
		for range 12 {
			time.Sleep(time.Minute)
			if _, index, _ := x.do("GET", "/v1/kv/t/?recurse", ""); index != buried {
				t.Fatalf("index %d while the gravestone stands, want %d", index, buried)
			}
		}
		type answer struct {
			index uint64
			text  string
		}
		woken := make(chan answer, 1)
		go func() {
			_, index, text := x.do("GET", fmt.Sprintf("/v1/kv/t/?recurse&wait=10m&index=%d", buried), "")
			woken <- answer{index, text}
		}()
		time.Sleep(5 * time.Minute)
		_, reaped, _ := x.do("GET", "/v1/kv/t/?recurse", "")
		_, none, _ := x.do("GET", "/v1/kv/u/?recurse", "")
		if reaped != old || none == 0 {
			t.Errorf("after the reaping: index %d, want %d; of nothing %d, want more than 0", reaped, old, none)
		}
		select {
		case a := <-woken:
			t.Fatalf("woken by a reaping: %+v", a)
		default:
		}
		x.is("PUT", "/v1/kv/t/new", "1", "true")
		if a := <-woken; a.index <= buried || !strings.Contains(a.text, "t/new") {
			t.Errorf("woken with %+v", a)
		}
	})
}
