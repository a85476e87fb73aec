package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/agents/seed-placer/gate"
)

// maxDepth limits how many seeds one call may pass through.
const maxDepth = 16

// retryAfter is the retry delay suggested to rejected callers.
const retryAfter = time.Second

// Call implements engine.Host: a seed calls another. It keeps its instance meanwhile, and releases its processor.
func (w *Worker) Call(ctx context.Context, from *engine.Call, uri string, input []byte) (output []byte, err error) {
	w.Idle(func() { output, err = w.callOther(ctx, from, uri, input) })
	return output, err
}

// callOther makes the call of a seed that has released its processor.
func (w *Worker) callOther(ctx context.Context, from *engine.Call, uri string, input []byte) ([]byte, error) {
	caller := from.Meta.Chain[len(from.Meta.Chain)-1]
	name, function, err := parseURI(uri)
	if err != nil {
		return nil, err
	}
	if r := w.loadedSeed(caller); r == nil || !r.spec.Seed.Allows(name) {
		return nil, &engine.Error{Code: engine.Denied, Text: fmt.Sprintf("%s may not call %s: list it in \"calls\"", caller, name)}
	}
	c := &engine.Call{Function: function, Input: input, Meta: from.Meta, Deadline: from.Deadline}
	c.Meta.Caller = caller
	if deadline, ok := ctx.Deadline(); ok {
		c.Deadline = deadline
	}
	err = w.route(ctx, name, c, anywhere)
	return c.Output, err
}

// parseURI splits pln://seed/<name>/<function>.
func parseURI(uri string) (name, function string, err error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "pln" || u.Host != "seed" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", "", &engine.Error{Code: engine.NotFound, Text: fmt.Sprintf("address %q is not pln://seed/<name>/<function>", uri)}
	}
	name, function, _ = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return name, function, nil
}

// routeScope is where a call may run.
type routeScope bool

const (
	anywhere routeScope = true
	hereOnly routeScope = false // another worker forwarded it
)

// route runs a call here if the seed is ready and has capacity, and otherwise at another node.
func (w *Worker) route(ctx context.Context, name string, c *engine.Call, scope routeScope) error {
	if slices.Contains(c.Meta.Chain, name) {
		return &engine.Error{Code: engine.Cycle, Text: fmt.Sprintf("the call goes in a circle: %s, %s", strings.Join(c.Meta.Chain, ", "), name)}
	}
	if len(c.Meta.Chain) >= maxDepth {
		return &engine.Error{Code: engine.Cycle, Text: fmt.Sprintf("the call goes through more than %d seeds", maxDepth)}
	}
	now := time.Now()
	if !now.Before(c.Deadline) {
		return &engine.Error{Code: engine.Deadline, Text: "the time for the call is over"}
	}
	r := w.loadedSeed(name)
	if r != nil && r.limiter.TryAcquire() {
		return w.run(ctx, r, c, now)
	}
	elsewhere := scope == anywhere && w.peers.hasRoute(name)
	switch {
	case r != nil && !elsewhere && r.limiter.Acquire(waitLimits(now, c.Deadline)) == nil:
		return w.run(ctx, r, c, now)
	case elsewhere && c.Env != nil:
		return errElsewhere // a plain call would lose the HTTP request that is in the environment
	case elsewhere:
		return w.peers.call(ctx, w.zone(), name, c)
	case r != nil:
		return &engine.Error{Code: engine.Overloaded, Text: name + " has too much to do", RetryAfter: retryAfter}
	}
	if scope == hereOnly {
		w.log.writeRarely(name, engine.Warn, "another node sent a call here, where it is not ready")
	}
	return w.unavailable(name)
}

// errElsewhere is returned for an HTTP request to a command that another node must answer: it is relayed as HTTP.
var errElsewhere = errors.New("this request is for another node")

// waitLimits returns how long a call may wait in the queue. The overload limit is short, so that a rejected caller
// can try elsewhere; the queue is LIFO then, so few calls wait that long. It is jittered, so that rejected callers do
// not retry together.
func waitLimits(arrived, deadline time.Time) gate.MaxWait {
	half := deadline.Sub(arrived) / 2
	return gate.MaxWait{Burst: half, Overload: min(half, gate.OverloadAfter/10+rand.N(gate.OverloadAfter/5))}
}

// maxRunnable limits how many calls wait for a processor, over all seeds.
const maxRunnable = 1024

// Idle implements engine.Idler: while a seed waits, other calls may use its processor.
func (w *Worker) Idle(wait func()) {
	w.cpu.Release()
	wait()
	w.cpu.AcquireNow() // above the limit: a call that has begun is finished
}

// run makes an admitted call, and the tail call that the seed may ask for.
func (w *Worker) run(ctx context.Context, r *loadedSeed, c *engine.Call, arrived time.Time) error {
	r.calls.Add(1)
	c.Meta.Chain = append(slices.Clip(c.Meta.Chain), r.Name)
	if limit := arrived.Add(time.Duration(r.Timeout)); limit.Before(c.Deadline) {
		c.Deadline = limit
	}
	err := w.runOnCPU(ctx, r, c, arrived)
	r.calls.Done()
	r.limiter.Release()
	r.slot.calls.Add(1)
	if err != nil {
		r.slot.failed.Add(1)
	}
	if err != nil || c.Tail == nil {
		return err
	}
	tail := c.Tail
	next := &engine.Call{Input: tail.Input, Meta: c.Meta, Deadline: c.Deadline}
	c.Output, err = w.callOther(ctx, next, tail.URI, tail.Input)
	return err
}

// runOnCPU runs a call once a processor is free. The first call of a seed never waits, so that every seed makes
// progress whatever the load of others; the scheduler shares the processors.
func (w *Worker) runOnCPU(ctx context.Context, r *loadedSeed, c *engine.Call, arrived time.Time) error {
	defer r.runnable.Add(-1)
	if r.runnable.Add(1) == 1 {
		w.cpu.AcquireNow()
	} else if !w.cpu.TryAcquire() {
		waited := time.Since(arrived) // in the seed's queue
		if w.cpu.Acquire(waitLimits(arrived, c.Deadline).Minus(waited)) != nil {
			return &engine.Error{Code: engine.Overloaded, Text: "there is no processor free for " + r.Name, RetryAfter: retryAfter}
		}
	}
	r.activity.calls.Add(1)
	err := r.Do(ctx, c)
	r.activity.calls.Add(-1)
	w.cpu.Release()
	return err
}

// unavailable returns the error for a seed that no worker can run.
func (w *Worker) unavailable(name string) error {
	if s := w.slot(name); s != nil {
		status := s.status()
		if status.Error != "" {
			return &engine.Error{Code: engine.Unavailable, Text: name + " cannot run: " + status.Error, RetryAfter: retryAfter}
		}
		return &engine.Error{Code: engine.Unavailable, Text: name + " is not ready yet", RetryAfter: retryAfter}
	}
	return &engine.Error{Code: engine.NotFound, Text: fmt.Sprintf("no seed %q is ready anywhere", name)}
}

func (w *Worker) slot(name string) *slot {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.seeds[name]
}

func (w *Worker) loadedSeed(name string) *loadedSeed {
	if s := w.slot(name); s != nil {
		return s.current.Load()
	}
	return nil
}

func (w *Worker) zone() string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.config.Zone
}
