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
	jitter      = 16 // A wait grows by up to a sixteenth, so that waits that began together do not end together.
)

// options are what every read accepts.
type options struct {
	index uint64 // 0 does not wait
	wait  time.Duration
	mode  string // leader, consistent or stale: the same thing on one machine
}

func (c *call) options() (options, error) {
	o := options{mode: "leader"}
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
		o.mode = "stale"
	case consistent:
		o.mode = "consistent"
	}
	return o, c.waiting(&o)
}

func (c *call) waiting(o *options) error {
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

// found is what a read found: the index to answer with, and the channel that closes when to look again.
type found struct {
	index   uint64
	changed <-chan struct{}
	missing bool // There is nothing, so a newer index alone is no news to whoever waits already.
}

// read looks at the store, and again whenever it may have changed, until there is news: an index above the one the
// client knows. It gives up, with what it saw last, when the wait is over. It returns false when
// there is nothing to answer: a bad request, a store that closes, a client that went away.
func (c *call) read(look func(*view) found) (bool, error) {
	o, err := c.options()
	if err != nil {
		return false, err
	}
	f := look(c.store.view.Load())
	if o.index != 0 && f.index <= o.index {
		if f, err = c.await(o, f, look); err != nil {
			return false, err
		}
	}
	c.meta(f.index, o.mode)
	return true, nil
}

func (c *call) await(o options, f found, look func(*view) found) (found, error) {
	timer := time.NewTimer(o.wait)
	defer timer.Stop()
	known, missing := o.index, f.missing
	for f.index <= known {
		select {
		case <-f.changed:
		case <-timer.C:
			return f, nil
		case <-c.store.closing:
			return f, ErrClosed
		case <-c.r.Context().Done():
			return f, c.r.Context().Err()
		}
		f = look(c.store.view.Load())
		if f.missing && missing {
			known = f.index
		}
		missing = missing || f.missing
	}
	return f, nil
}

// meta sets the headers of a read. Clients stop reading headers at the first that is missing.
func (c *call) meta(index uint64, mode string) {
	c.set("X-Consul-Index", strconv.FormatUint(max(index, 1), 10))
	c.set("X-Consul-Effective-Consistency", mode)
	c.contact()
}

func (c *call) contact() {
	c.set("X-Consul-Knownleader", "true")
	c.set("X-Consul-Lastcontact", "0")
}

// rootOf is the channel that closes when anything in a tree changes.
func rootOf[T any](t *iradix.Tree[T]) <-chan struct{} {
	return t.Root().Iterator().SeekPrefixWatch(nil)
}
