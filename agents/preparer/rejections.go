package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/fetch"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// Bounds of verdicts.
const (
	maxRejections     = 256       // remembered at once; the oldest go first
	maxDigests        = 5         // of an artifact whose content arrives differently each time, which the way here may damage
	unidentifiedRetry = time.Hour // between two fetches of a bad artifact of which the server says nothing to know it by
)

// rejection records an artifact whose content only its publisher can fix. It is not fetched again while the server
// still has the same content and the checks are the same.
type rejection struct {
	Reason  Reason         `json:"reason"`
	Text    string         `json:"text"`
	Address string         `json:"address"` // as a digest, for it may hold credentials
	Is      fetch.Identity `json:"is"`
	Against string         `json:"against"` // digest of all that it was held against
	SHA256  string         `json:"sha256"`  // of the content that came, when it was read to its end
	Times   int            `json:"times"`   // it was fetched and found bad
	Parked  bool           `json:"parked"`  // the verdict stands
	At      time.Time      `json:"at"`
}

// sameAs reports whether both verdicts are about the same thing.
func (v rejection) sameAs(o rejection) bool {
	return v.Address == o.Address && v.Is == o.Is && v.Against == o.Against
}

// rejections are remembered in the state directory, as a cache: when it is lost, a bad artifact is fetched once more.
type rejections struct {
	path      string
	mu        sync.Mutex
	bySubject map[string]rejection // by subject
}

func openRejections(stateDir string, readOnly bool) *rejections {
	v := &rejections{path: filepath.Join(stateDir, "verdicts.json")}
	if err := host.ReadCache(v.path, &v.bySubject); err != nil {
		v.bySubject = nil
		if !errors.Is(err, fs.ErrNotExist) && !readOnly {
			_, _ = host.Aside(v.path) // it is only a cache
		}
	}
	if v.bySubject == nil {
		v.bySubject = map[string]rejection{}
	}
	return v
}

// known returns the fault of an artifact that is known to be bad, without looking at its content.
func (v *rejections) known(subject string, now rejection) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, ok := v.bySubject[subject]
	if !ok || !known.Parked || !known.sameAs(now) {
		return nil
	}
	// The clock may have been set since: what seems to be of the future is not believed to stay there.
	if age := time.Since(known.At); !now.Is.Known() && age.Abs() > unidentifiedRetry {
		return nil
	}
	return &stepError{Reason: known.Reason, Err: errors.New(known.Text), Parked: true}
}

// record notes a verdict, and returns err as it is to be told. One that came twice over the same content stands.
func (v *rejections) record(subject string, now rejection, err error) error {
	var t *stepError
	if !errors.As(err, &t) || !permanent[t.Reason] {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now.Reason, now.Text, now.At = t.Reason, t.Err.Error(), time.Now().UTC()
	if known, ok := v.bySubject[subject]; ok && known.sameAs(now) {
		now.Times = known.Times
		now.Parked = known.SHA256 == now.SHA256 || now.Times+1 >= maxDigests
	}
	now.Times++
	v.bySubject[subject] = now
	v.save()
	return &stepError{Reason: t.Reason, Err: t.Err, Parked: now.Parked}
}

// drop forgets a subject that is well.
func (v *rejections) drop(subject string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.bySubject[subject]; ok {
		delete(v.bySubject, subject)
		v.save()
	}
}

// save keeps the newest verdicts. That it cannot be written costs a fetch after the next start, and nothing else.
func (v *rejections) save() {
	for len(v.bySubject) > maxRejections {
		oldest := ""
		for subject, known := range v.bySubject {
			if oldest == "" || known.At.Before(v.bySubject[oldest].At) {
				oldest = subject
			}
		}
		delete(v.bySubject, oldest)
	}
	_ = host.WriteCache(v.path, v.bySubject)
}

// permanent are the reasons that a fetch of the same content cannot cure.
var permanent = map[Reason]bool{DigestMismatch: true, BadArchive: true, NoLaunch: true, Unsigned: true, Reason(fetch.TooBig): true}

// describe is a verdict still to be found: which content, held against what.
func (h *preparer) describe(s Step, a artifact, want verification) rejection {
	held, err := json.Marshal(struct {
		SHA256    string
		Signature []byte
		Require   intent.Require
		Keys      keys
		Limits    any
		MaxBytes  int64
	}{want.sha256, want.signature, s.Require, h.options.keys, h.options.limits, h.options.maxBytes})
	if err != nil {
		held = nil // cannot be; and then every verdict is about the same
	}
	return rejection{Address: digestOf([]byte(a.String())), Is: a.is, Against: digestOf(held)}
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
