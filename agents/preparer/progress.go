package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// progress is how far the fetches under way are.
type progress struct {
	mu     sync.Mutex
	active map[string]*transfer
}

type transfer struct {
	verb        string
	done, total int64 // bytes; total is -1 while unknown
	since       time.Time
	from        int64 // bytes that were there when it began
}

func newProgress() *progress { return &progress{active: map[string]*transfer{}} }

// begin starts a new phase of a subject's work, such as fetching or extracting.
func (p *progress) begin(subject, verb string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active[subject] = &transfer{verb: verb, total: -1, since: time.Now(), from: -1}
}

func (p *progress) end(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.active, subject)
}

// set notes how far a subject is.
func (p *progress) set(subject string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.active[subject]; t != nil {
		t.done, t.total = done, total
		if t.from < 0 {
			t.from = done
		}
	}
}

// lines says for each subject how far it is.
func (p *progress) lines() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := make(map[string]string, len(p.active))
	for subject, t := range p.active {
		lines[subject] = t.String()
	}
	return lines
}

// String says it in a few words: percent, bytes and rate.
func (t *transfer) String() string {
	rate := ""
	if over := time.Since(t.since).Seconds(); over >= 1 && t.from >= 0 {
		rate = fmt.Sprintf(", %s/s", bytesText(int64(float64(t.done-t.from)/over)))
	}
	switch {
	case t.total > 0:
		return fmt.Sprintf("%s %d%% of %s%s", t.verb, 100*t.done/t.total, bytesText(t.total), rate)
	case t.done > 0:
		return fmt.Sprintf("%s, %s so far%s", t.verb, bytesText(t.done), rate)
	}
	return t.verb
}

// ticks wakes the loop every two seconds while something is under way, so that reports say how far it is.
func (p *progress) ticks(ctx context.Context) <-chan struct{} {
	wake := make(chan struct{}, 1)
	go func() {
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if len(p.lines()) > 0 {
				select {
				case wake <- struct{}{}:
				default:
				}
			}
		}
	}()
	return wake
}

// bytesText writes a size in the units of intent: powers of ten.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
