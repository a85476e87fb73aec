package worker

import (
	"cmp"
	"math"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// Parameters of the wanted number of replicas.
const (
	targetUse = 0.6 // wanted use of a replica's concurrency
	loadStep  = 25  // percent; smaller changes are not reported
)

// defaultCalm is how long the load must have been lower before a lower value is reported, and how long a seed must be
// unused before its idle instances are freed, unless the configuration says otherwise.
const defaultCalm = time.Minute

// loadAverage smooths the load of a seed over seconds when it rises and over calm when it falls, so that replicas do
// not follow each burst.
type loadAverage struct {
	mu         sync.Mutex
	value      float64 // average number of concurrent calls
	sampled    time.Time
	reported   int
	lowerSince time.Time // since when it is below reported
	calm       time.Duration
}

// setCalm sets how long the load must have been lower before that is reported; 0 is the default.
func (p *loadAverage) setCalm(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = after
}

// calmTime returns the time set by setCalm.
func (p *loadAverage) calmTime() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.calm, defaultCalm)
}

// sample adds the current number of calls to the average, and returns the load to report, in percent of the target of
// one replica.
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
