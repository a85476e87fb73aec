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
	maxVerdicts   = 256       // remembered at once; the oldest go first
	maxOpinions   = 5         // of an artifact whose content arrives differently each time, which the way here may damage
	blindPatience = time.Hour // between two fetches of a bad artifact of which the server says nothing to know it by
)

// verdict is what was found of an artifact whose content only its publisher can mend. While the server still has the
// same thing, and it would be held against the same, it is not fetched again.
type verdict struct {
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

// about reports whether both verdicts are about the same thing.
func (v verdict) about(o verdict) bool {
	return v.Address == o.Address && v.Is == o.Is && v.Against == o.Against
}

// verdicts are remembered in the state directory, as a cache: when it is lost, a bad artifact is fetched once more.
type verdicts struct {
	path string
	mu   sync.Mutex
	of   map[string]verdict // by subject
}

func openVerdicts(stateDir string, readOnly bool) *verdicts {
	v := &verdicts{path: filepath.Join(stateDir, "verdicts.json")}
	if err := host.ReadCache(v.path, &v.of); err != nil {
		v.of = nil
		if !errors.Is(err, fs.ErrNotExist) && !readOnly {
			_, _ = host.Aside(v.path) // it is only a cache
		}
	}
	if v.of == nil {
		v.of = map[string]verdict{}
	}
	return v
}

// standing returns the fault of an artifact that is known to be bad, without looking at its content.
func (v *verdicts) standing(subject string, now verdict) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	known, ok := v.of[subject]
	if !ok || !known.Parked || !known.about(now) {
		return nil
	}
	// The clock may have been set since: what seems to be of the future is not believed to stay there.
	if age := time.Since(known.At); !now.Is.Known() && age.Abs() > blindPatience {
		return nil
	}
	return &trouble{Reason: known.Reason, Err: errors.New(known.Text), Parked: true}
}

// pass notes a verdict, and returns err as it is to be told. One that came twice over the same content stands.
func (v *verdicts) pass(subject string, now verdict, err error) error {
	var t *trouble
	if !errors.As(err, &t) || !lasting[t.Reason] {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now.Reason, now.Text, now.At = t.Reason, t.Err.Error(), time.Now().UTC()
	if known, ok := v.of[subject]; ok && known.about(now) {
		now.Times = known.Times
		now.Parked = known.SHA256 == now.SHA256 || now.Times+1 >= maxOpinions
	}
	now.Times++
	v.of[subject] = now
	v.save()
	return &trouble{Reason: t.Reason, Err: t.Err, Parked: now.Parked}
}

// drop forgets a subject that is well.
func (v *verdicts) drop(subject string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.of[subject]; ok {
		delete(v.of, subject)
		v.save()
	}
}

// save keeps the newest verdicts. That it cannot be written costs a fetch after the next start, and nothing else.
func (v *verdicts) save() {
	for len(v.of) > maxVerdicts {
		oldest := ""
		for subject, known := range v.of {
			if oldest == "" || known.At.Before(v.of[oldest].At) {
				oldest = subject
			}
		}
		delete(v.of, oldest)
	}
	_ = host.WriteCache(v.path, v.of)
}

// lasting are the reasons that a fetch of the same content cannot cure.
var lasting = map[Reason]bool{DigestMismatch: true, BadArchive: true, NoLaunch: true, Unsigned: true, Reason(fetch.TooBig): true}

// question is a verdict still to be found: which content, held against what.
func (h *preparer) question(s Step, a artifact, want proof) verdict {
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
	return verdict{Address: digestOf([]byte(a.String())), Is: a.is, Against: digestOf(held)}
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
