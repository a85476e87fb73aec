package agent

import (
	"fmt"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// upstream is how the reads of the store go. It is safe for use by many goroutines.
type upstream struct {
	mu    sync.Mutex
	errs  map[intent.Prefix]error
	since time.Time // when the first of errs came, zero when all is well
	log   *Log
}

func newUpstream(log *Log) *upstream {
	return &upstream{errs: map[intent.Prefix]error{}, log: log}
}

func (u *upstream) heard(prefix intent.Prefix, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		delete(u.errs, prefix)
	} else {
		u.errs[prefix] = err
	}
	switch {
	case len(u.errs) == 0 && !u.since.IsZero():
		u.log.Info("", fmt.Sprintf("the store answers again after %s", time.Since(u.since).Round(time.Second)))
		u.since = time.Time{}
	case len(u.errs) > 0 && u.since.IsZero():
		u.since = time.Now()
		u.log.Warn("", fmt.Sprintf("%v; everything stays as it is", err))
	}
}

// down returns for how long the store has not answered, and what it says.
func (u *upstream) down() (time.Duration, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, err := range u.errs {
		return time.Since(u.since), err
	}
	return 0, nil
}
