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
	targetUse = 0.6 // of the calls that may go on at once: what one replica should have to do
	loadStep  = 25  // percent: smaller changes are not told
)

// defaultCalm is for how long the load must have been lower before that is told, and for how long a seed may go uncalled
// before its instances give their memory back, unless the table says otherwise. The next call makes one anew.
const defaultCalm = time.Minute

// loadAverage is how much a seed has to do, smoothed over seconds when it grows and over calm when it falls, so that
// replicas do not come and go with each burst.
type loadAverage struct {
	mu         sync.Mutex
	value      float64 // calls at once, on average
	sampled    time.Time
	reported   int
	lowerSince time.Time // since when it is lower than what was told
	calm       time.Duration
}

// setCalm sets for how long the load must have been lower before that is told; 0 for the default.
func (p *loadAverage) setCalm(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = after
}

// calmTime returns that.
func (p *loadAverage) calmTime() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.calm, defaultCalm)
}

// sample takes a look at how many calls there are now, and returns percent of what one replica should have.
func (p *loadAverage) sample(now, limit int, at time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.Sub(p.sampled) < wire.ReportInterval/2 {
		return p.reported
	}
	p.value, p.sampled = 0.6*p.value+0.4*float64(now), at
	wants := int(math.Ceil(100*p.value/(targetUse*float64(limit))/loadStep)) * loadStep
	if p.value < 0.1 {
		wants = 0
	}
	switch {
	case wants > p.reported:
		p.reported, p.lowerSince = wants, time.Time{}
	case wants == p.reported:
		p.lowerSince = time.Time{}
	case p.lowerSince.IsZero():
		p.lowerSince = at
	case at.Sub(p.lowerSince) >= cmp.Or(p.calm, defaultCalm):
		p.reported, p.lowerSince = wants, time.Time{}
	}
	return p.reported
}
