package store_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// done forwards a request and then sends its own response.
func done(answer fault) fault {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(httptest.NewRecorder(), r)
		answer(w, r, pass)
	}
}

// TestWrite_FaultyResponses_ReportUnknownOutcome: a write that fails either did not happen or is [store.ErrUnknown],
// wherever the connection fails.
func TestWrite_FaultyResponses_ReportUnknownOutcome(t *testing.T) {
	t.Parallel()
	certain := map[string]bool{"403": true, "429": true, "500 no leader": true, "404 of a lost proxy": true, "refused": true}
	faults := map[string]fault{"refused": nil}
	for name, do := range broken {
		faults[name] = do
		if !certain[name] && name != "truncated JSON" && name != "filtered by access" {
			faults[name+", but done"] = done(do)
		}
	}
	delete(faults, "truncated JSON") // these two forward the request and corrupt lists
	delete(faults, "filtered by access")
	for name, do := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := embedtest.Server(t)
			direct := opened(t, behind.URL)
			put(t, direct, "old", "1")
			session, err := direct.NewSession(t.Context(), "n", store.MinTTL, 0, store.ReleaseKeys)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close(context.Background())
			wire := between(t, behind)
			s := opened(t, wire.URL)
			if do == nil {
				wire.Close()
			} else {
				wire.now(do)
			}
			check := func(what, key string, err error) {
				t.Helper()
				_, there, readErr := direct.Get(t.Context(), key, store.Consistent)
				happened := there == (what != "delete")
				switch {
				case err == nil:
					t.Errorf("%s: no error", what)
				case readErr != nil:
					t.Error(readErr)
				case errors.Is(err, store.ErrUnknown) == certain[name]:
					t.Errorf("%s: unknown %v: %v", what, !certain[name], err)
				case happened && certain[name]:
					t.Errorf("%s happened in spite of %v", what, err)
				}
			}
			check("put", "put", s.Put(t.Context(), "put", []byte("1")))
			check("delete", "old", s.Delete(t.Context(), "old"))
			_, err = s.Commit(t.Context(), []store.Change{{Verb: store.CAS, Key: "cas", Value: []byte("1")}})
			check("commit", "cas", err)
		})
	}
}

// TestAcquire_ForeignResponse_IsNotSuccess: a lock is acquired only if the store itself confirms it.
func TestAcquire_ForeignResponse_IsNotSuccess(t *testing.T) {
	behind := embedtest.Server(t)
	wire := between(t, behind)
	s := opened(t, wire.URL)
	session, err := s.NewSession(t.Context(), "n", store.MinTTL, 0, store.ReleaseKeys)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close(context.Background())
	wire.now(body("99", "<html>it is true</html>"))
	if held, err := session.Acquire(t.Context(), "lock", nil); held || !errors.Is(err, store.ErrUnknown) {
		t.Errorf("held %v: %v", held, err)
	}
	wire.heal()
	held, err := session.Acquire(t.Context(), "lock", nil)
	for range 3 { // a kept connection may be closed by the other side during the request
		if errors.Is(err, store.ErrUnknown) {
			held, err = session.Acquire(t.Context(), "lock", nil)
		}
	}
	if !held || err != nil {
		t.Errorf("held %v: %v", held, err)
	}
}
