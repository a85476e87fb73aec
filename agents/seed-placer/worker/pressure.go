package worker

import (
	"cmp"
	"math"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// How load becomes a wish for replicas.
const (
	target = 0.6 // of the calls that may go on at once: what one replica should have to do
	step   = 25  // percent: smaller changes are not told
)

// defaultCalm is for how long the load must have been lower before that is told, and for how long a seed may go uncalled
// before its instances give their memory back, unless the table says otherwise. The next call makes one anew.
const defaultCalm = time.Minute

// pressure is how much a seed has to do, smoothed over seconds when it grows and over calm when it falls, so that
// replicas do not come and go with each burst.
type pressure struct {
	mu    sync.Mutex
	value float64 // calls at once, on average
	at    time.Time
	told  int
	below time.Time // since when it is lower than what was told
	calm  time.Duration
}

// fall sets for how long the load must have been lower before that is told; 0 for the default.
func (p *pressure) fall(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = after
}

// falls returns that.
func (p *pressure) falls() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.calm, defaultCalm)
}

// of takes a look at how many calls there are now, and returns percent of what one replica should have.
func (p *pressure) of(now, limit int, at time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.Sub(p.at) < wire.Beat/2 {
		return p.told
	}
	p.value, p.at = 0.6*p.value+0.4*float64(now), at
	wants := int(math.Ceil(100*p.value/(target*float64(limit))/step)) * step
	if p.value < 0.1 {
		wants = 0
	}
	switch {
	case wants > p.told:
		p.told, p.below = wants, time.Time{}
	case wants == p.told:
		p.below = time.Time{}
	case p.below.IsZero():
		p.below = at
	case at.Sub(p.below) >= cmp.Or(p.calm, defaultCalm):
		p.told, p.below = wants, time.Time{}
	}
	return p.told
}
