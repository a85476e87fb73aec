package agent

import (
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// maxGap is how far apart two reads of a prefix may be for a missing key in the second one to be conclusive: Consul
// forgets deletions after 15 minutes.
const maxGap = 10 * time.Minute

// gaps records whether the reads of a watch were further apart than [maxGap]. It is safe for concurrent use.
type gaps struct {
	mu    sync.Mutex
	last  map[intent.Prefix]time.Time // wall-clock time, which includes suspend
	found bool
}

func (g *gaps) record(prefix intent.Prefix, err error) {
	if err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now().Round(0)
	last, known := g.last[prefix]
	g.found = g.found || known && now.Sub(last) > maxGap
	g.last[prefix] = now
}

// take reports whether there was a gap since the last call.
func (g *gaps) take() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := g.found
	g.found = false
	return found
}
