package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/time/rate"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// options are what the flags say.
type options struct {
	batch     int
	lossAfter time.Duration
	replace   int // a minute
}

func flags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "batch", Usage: "most steps that share one transaction; 1: each has its own", Value: 16, EnvVars: agent.Env("batch")},
		&cli.DurationFlag{Name: "loss-after", Usage: "replace the vms of a machine whose agents were not heard of for so long", Value: 5 * time.Minute, EnvVars: agent.Env("loss-after")},
		&cli.IntFlag{Name: "replace-rate", Usage: "vms of lost machines to replace a minute; 0: none", Value: 10, EnvVars: agent.Env("replace-rate")},
	}
}

func readOptions(c *cli.Context) (options, error) {
	o := options{batch: c.Int("batch"), lossAfter: c.Duration("loss-after"), replace: c.Int("replace-rate")}
	if o.batch < 1 || o.batch > maxOps {
		return o, agent.Usage("--batch %d is not within 1 to %d", o.batch, maxOps)
	}
	if o.lossAfter < time.Second || o.replace < 0 {
		return o, agent.Usage("--loss-after must be 1s or more, and --replace-rate must not be negative")
	}
	return o, nil
}

// hands are what the allocator reads and writes with.
type hands struct {
	self      intent.Name
	store     *store.Store
	log       *agent.Log
	options   options
	book      *book
	turn      *turn
	waiting   *queue
	wake      chan struct{}
	replacing *rate.Limiter
	tally
}

// tally counts transactions.
type tally struct {
	watching  atomic.Bool // the book is kept up by watches
	commits   atomic.Int64
	steps     atomic.Int64
	conflicts atomic.Int64
	meters    *meters
}

func newHands(a *agent.Agent, o options) *hands {
	h := &hands{self: a.Node, store: a.Store, log: a.Log, options: o, book: newBook(a.Tree), waiting: newQueue(),
		wake: make(chan struct{}, 1), replacing: rate.NewLimiter(rate.Every(time.Minute/time.Duration(max(1, o.replace))), max(1, o.replace))}
	if o.replace == 0 {
		h.replacing = rate.NewLimiter(0, 0)
	}
	h.turn, h.meters = newTurn(a.Node, h.stir), newMeters()
	h.book.listen(func(region intent.Name) { h.turn.heard(region, time.Now()) })
	return h
}

// stir asks for a pass.
func (h *hands) stir() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// count keeps the score of transactions.
func (h *hands) count(b *batch, err error) {
	h.commits.Add(1)
	h.meters.committed(b, err)
	if err == nil {
		h.steps.Add(int64(len(b.requests)))
		return
	}
	h.conflicts.Add(1)
}

// tell says the score, as a last word.
func (h *hands) tell() {
	if n := h.commits.Load(); n > 0 && h.log != nil {
		h.log.Info("", fmt.Sprintf("%d transactions for %d steps, %d refused or lost", n, h.steps.Load(), h.conflicts.Load()))
	}
}

// source delivers the wishes, and keeps the book.
func (h *hands) source() agent.Source[Desired] {
	return agent.Source[Desired]{
		Name:  string(h.book.tree.VMs()),
		Index: func(d Desired) uint64 { return d.Index },
		Read: func(ctx context.Context) (Desired, error) {
			if err := h.read(ctx); err != nil {
				return Desired{}, fmt.Errorf("read the fleet at %s: %w", h.store.Address(), err)
			}
			return h.book.desired(), nil
		},
		Watch: h.watch,
	}
}

// watch follows everything. The first wishes are delivered once all of it has been read.
func (h *hands) watch(ctx context.Context, heard func(intent.Prefix, error)) <-chan Desired {
	h.watching.Store(true)
	out := make(chan Desired, 1)
	news := make(chan source)
	for _, s := range h.book.sources() {
		go func() {
			snapshots := h.store.Watch(ctx, s.from(), heard)
			for {
				select {
				case snapshot := <-snapshots:
					h.book.take(s, snapshot)
				case <-ctx.Done():
					return
				}
				select {
				case news <- s:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	go h.deliver(ctx, news, out)
	return out
}

// deliver passes on what is new: wishes as such, anything else as a reason to look.
func (h *hands) deliver(ctx context.Context, news <-chan source, out chan Desired) {
	delivered := false
	for {
		select {
		case s := <-news:
			switch {
			case !h.book.complete():
			case !delivered || s == source(h.book.papers.vms):
				delivered = true
				select {
				case <-out: // not taken yet: newest wins
				default:
				}
				out <- h.book.desired()
			default:
				h.stir()
			}
		case <-ctx.Done():
			return
		}
	}
}
