package agent

import (
	"fmt"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// storeHealth records the errors of store reads. It is safe for concurrent use.
type storeHealth struct {
	mu    sync.Mutex
	errs  map[intent.Prefix]error
	since time.Time // when the first of errs occurred; zero without errors
	log   *Log
}

func newStoreHealth(log *Log) *storeHealth {
	return &storeHealth{errs: map[intent.Prefix]error{}, log: log}
}

func (u *storeHealth) record(prefix intent.Prefix, err error) {
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

// down returns for how long reads have failed, and an error; nil when the store answers.
func (u *storeHealth) down() (time.Duration, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, err := range u.errs {
		return time.Since(u.since), err
	}
	return 0, nil
}
