package conformance

import (
	"strings"
	"testing"
	"time"
)

// testExpiry leaves sessions without a sign of life: they end after their TTL, never before, and what they held is
// released or deleted, wakes who waits for it, and may not be locked again for the lock delay.
func testExpiry(t *testing.T, s *server) {
	began := time.Now()
	release := s.session(t, `{"TTL":"10s","LockDelay":"30s"}`)
	drop := s.session(t, `{"TTL":"10s","LockDelay":"1ms","Behavior":"delete"}`)
	kept := s.session(t, `{"TTL":"10s"}`)
	next := s.session(t, "")
	s.kv(t, "PUT", "release?acquire="+release, "1").is(t, 200, "true")
	s.kv(t, "PUT", "drop?acquire="+drop, "1").is(t, 200, "true")
	s.kv(t, "PUT", "kept?acquire="+kept, "1").is(t, 200, "true")
	released := s.wait(t, "/v1/kv/"+s.prefix+"release", s.kv(t, "GET", "release", "").index)
	dropped := s.wait(t, "/v1/kv/"+s.prefix+"drop", s.kv(t, "GET", "drop", "").index)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for time.Since(began) < 21*time.Second {
			time.Sleep(2 * time.Second)
			if a, err := s.try("PUT", "/v1/session/renew/"+kept, ""); err != nil || a.code != 200 {
				t.Errorf("renew: %d %s %v", a.code, a.body, err)
			}
		}
	}()
	woken(t, dropped, "the expiry").is(t, 404, "")
	if lived := time.Since(began); lived < 10*time.Second {
		t.Errorf("ended after %v, before its TTL", lived)
	}
	pairs := woken(t, released, "the expiry").pairs(t)
	if len(pairs) != 1 || pairs[0].Session != "" || string(pairs[0].Value) != "1" {
		t.Errorf("released: %+v", pairs)
	}
	s.do(t, "PUT", "/v1/session/renew/"+drop, "").says(t, 404, "not found")
	s.kv(t, "PUT", "release?acquire="+next, "2").is(t, 200, "false")
	if got := s.txn(t, 409, `lock release Session:"`+next+`"`); !strings.HasSuffix(got.Errors[0].What, "due to lock delay") {
		t.Errorf("lock within the delay: %+v", got.Errors)
	}
	time.Sleep(50 * time.Millisecond) // all of this may have taken less than the delay of a millisecond
	s.kv(t, "PUT", "drop?acquire="+next, "2").is(t, 200, "true")
	<-done
	if p := s.one(t, "kept"); p.Session != kept {
		t.Errorf("a session that is renewed has ended: %+v", p)
	}
}
