package embedded

import (
	"math/rand/v2"
	"strconv"
	"time"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

const (
	defaultWait = 5 * time.Minute
	maxWait     = 10 * time.Minute
	jitter      = 16 // up to 1/16 is added, so that waits that start together end apart
)

// queryOptions are the parameters that every read accepts.
type queryOptions struct {
	index       uint64 // 0 does not wait
	wait        time.Duration
	consistency string // leader, consistent or stale; equivalent on one machine
}

func (c *call) queryOptions() (queryOptions, error) {
	o := queryOptions{consistency: "leader"}
	if len(c.query) == 0 {
		return o, nil
	}
	stale, consistent := c.has("stale"), c.has("consistent")
	if text := c.query.Get("max_stale"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return o, badRequest("Invalid max_stale value %q", text)
		}
		stale = stale || d > 0
	}
	switch {
	case stale && consistent:
		return o, badRequest("Cannot specify ?stale with ?consistent, conflicting semantics.")
	case stale:
		o.consistency = "stale"
	case consistent:
		o.consistency = "consistent"
	}
	return o, c.parseWait(&o)
}

func (c *call) parseWait(o *queryOptions) error {
	var err error
	if text := c.query.Get("wait"); text != "" {
		if o.wait, err = time.ParseDuration(text); err != nil {
			return badRequest("Invalid wait time")
		}
	}
	if text := c.query.Get("index"); text != "" {
		if o.index, err = strconv.ParseUint(text, 10, 64); err != nil {
			return badRequest("Invalid index")
		}
	}
	if o.wait <= 0 {
		o.wait = defaultWait
	}
	o.wait = min(o.wait, maxWait)
	if part := o.wait / jitter; part > 0 {
		o.wait += rand.N(part)
	}
	return nil
}

// readResult is the outcome of one read: the index to report and a channel that closes when the result may have
// changed.
type readResult struct {
	index   uint64
	changed <-chan struct{}
	missing bool // nothing found; a client that already saw that is not woken by a new index alone
}

// read calls readState until its index exceeds the one the client knows, again after each change. When the wait is over
// it uses the last result. It returns false when no response must be sent: bad request, closed store, client
// disconnected.
func (c *call) read(readState func(*snapshot) readResult) (bool, error) {
	o, err := c.queryOptions()
	if err != nil {
		return false, err
	}
	result := readState(c.store.snapshot.Load())
	if o.index != 0 && result.index <= o.index {
		if result, err = c.waitForChange(o, result, readState); err != nil {
			return false, err
		}
	}
	c.setIndexHeaders(result.index, o.consistency)
	return true, nil
}

func (c *call) waitForChange(o queryOptions, result readResult, readState func(*snapshot) readResult) (readResult, error) {
	timer := time.NewTimer(o.wait)
	defer timer.Stop()
	known, missing := o.index, result.missing
	for result.index <= known {
		select {
		case <-result.changed:
		case <-timer.C:
			return result, nil
		case <-c.store.closing:
			return result, ErrClosed
		case <-c.r.Context().Done():
			return result, c.r.Context().Err()
		}
		result = readState(c.store.snapshot.Load())
		if result.missing && missing {
			known = result.index
		}
		missing = missing || result.missing
	}
	return result, nil
}

// setIndexHeaders sets the headers of a read. Clients stop parsing at the first missing header.
func (c *call) setIndexHeaders(index uint64, mode string) {
	c.setHeader("X-Consul-Index", strconv.FormatUint(max(index, 1), 10))
	c.setHeader("X-Consul-Effective-Consistency", mode)
	c.setLeaderHeaders()
}

func (c *call) setLeaderHeaders() {
	c.setHeader("X-Consul-Knownleader", "true")
	c.setHeader("X-Consul-Lastcontact", "0")
}

// watchRoot returns the channel that closes when anything in a tree changes.
func watchRoot[T any](t *iradix.Tree[T]) <-chan struct{} {
	return t.Root().Iterator().SeekPrefixWatch(nil)
}
