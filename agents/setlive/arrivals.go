package main

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// lookForInstalls is between two looks for installs that are waited for.
const lookForInstalls = 200 * time.Millisecond

// arrivals looks for the installs that apps wait for, so that a release does not wait for the next resync. Looking is
// one stat a path, works before the basedir exists, and costs nothing while nobody waits.
type arrivals struct {
	mu    sync.Mutex
	paths []string
	some  chan struct{} // paths may no longer be empty
	wake  chan struct{} // one of them is there
}

func newArrivals() *arrivals {
	return &arrivals{some: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

// want makes it look for exactly these paths.
func (v *arrivals) want(paths []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.paths = paths
	if len(paths) > 0 {
		nudge(v.some)
	}
}

// Wake carries a value when an install that was waited for is there.
func (v *arrivals) Wake() <-chan struct{} { return v.wake }

func (v *arrivals) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-v.some:
		case <-ctx.Done():
		}
		for v.look() && ctx.Err() == nil {
			select {
			case <-time.After(lookForInstalls):
			case <-ctx.Done():
			}
		}
	}
}

// look reports whether there is something left to look for.
func (v *arrivals) look() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.paths = slices.DeleteFunc(v.paths, func(path string) bool {
		_, err := os.Stat(path)
		if err == nil {
			nudge(v.wake)
		}
		return err == nil
	})
	return len(v.paths) > 0
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// awaited are the installs that apps wait for.
func awaited(d Desired, a Actual) (paths []string) {
	for name, w := range d {
		if w.Phase == "" && w.Version != "" && a[name].Unseen == "" && !slices.Contains(a[name].Installed, w.Version) {
			paths = append(paths, intent.Install(w.Spec.Basedir, intent.Name(name), intent.Name(w.Version)))
		}
	}
	return paths
}
