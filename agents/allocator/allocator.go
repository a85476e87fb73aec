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

// options are the parsed flags.
type options struct {
	batch            int
	lossAfter        time.Duration
	replacePerMinute int // per minute
}

func flags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "batch", Usage: "most steps that share one transaction; 1: each has its own", Value: 16,
			EnvVars: agent.Env("batch")},
		&cli.DurationFlag{Name: "loss-after",
			Usage: "replace the vms of a machine whose agents were not heard of for so long", Value: 5 * time.Minute, EnvVars: agent.Env("loss-after")},
		&cli.IntFlag{Name: "replace-rate", Usage: "vms of lost machines to replace a minute; 0: none", Value: 10,
			EnvVars: agent.Env("replace-rate")},
	}
}

func readOptions(c *cli.Context) (options, error) {
	o := options{batch: c.Int("batch"), lossAfter: c.Duration("loss-after"), replacePerMinute: c.Int("replace-rate")}
	if o.batch < 1 || o.batch > maxOps {
		return o, agent.Usage("--batch %d is not within 1 to %d", o.batch, maxOps)
	}
	if o.lossAfter < time.Second || o.replacePerMinute < 0 {
		return o, agent.Usage("--loss-after must be 1s or more, and --replace-rate must not be negative")
	}
	return o, nil
}

// allocator holds what observe, plan and apply need.
type allocator struct {
	self         intent.Name
	store        *store.Store
	log          *agent.Log
	options      options
	cache        *cache
	share        *workShare
	queue        *batcher
	wakeups      chan struct{}
	replaceLimit *rate.Limiter
	watching     atomic.Bool // the cache is kept up to date by watches
	commits      atomic.Int64
	steps        atomic.Int64
	conflicts    atomic.Int64
	metrics      *metrics
}

func newAllocator(a *agent.Agent, o options) *allocator {
	al := &allocator{self: a.Node, store: a.Store, log: a.Log, options: o, cache: newCache(a.Tree), queue: newBatcher(),
		wakeups: make(chan struct{}, 1),
		replaceLimit: rate.NewLimiter(rate.Every(time.Minute/time.Duration(max(1, o.replacePerMinute))),
			max(1, o.replacePerMinute))}
	if o.replacePerMinute == 0 {
		al.replaceLimit = rate.NewLimiter(0, 0)
	}
	al.share, al.metrics = newWorkShare(a.Node, al.wake), newMetrics()
	al.cache.onForeignWrite(func(region intent.Name) { al.share.peerActive(region, time.Now()) })
	return al
}

// wake requests a pass. It never blocks.
func (al *allocator) wake() {
	select {
	case al.wakeups <- struct{}{}:
	default:
	}
}

// countTxn updates the totals and metrics for one finished transaction.
func (al *allocator) countTxn(b *batch, err error) {
	al.commits.Add(1)
	al.metrics.observeTxn(b, err)
	if err == nil {
		al.steps.Add(int64(len(b.requests)))
		return
	}
	al.conflicts.Add(1)
}

// logTotals logs the totals when the agent stops. The tests parse this line.
func (al *allocator) logTotals() {
	if n := al.commits.Load(); n > 0 && al.log != nil {
		al.log.Info("", fmt.Sprintf("%d transactions for %d steps, %d refused or lost", n, al.steps.Load(),
			al.conflicts.Load()))
	}
}

// source reads and watches the VM specs, and keeps the cache up to date.
func (al *allocator) source() agent.Source[Desired] {
	return agent.Source[Desired]{
		Name:  string(al.cache.tree.VMs()),
		Index: func(d Desired) uint64 { return d.Index },
		Read: func(ctx context.Context) (Desired, error) {
			if err := al.loadAll(ctx); err != nil {
				return Desired{}, fmt.Errorf("read the fleet at %s: %w", al.store.Address(), err)
			}
			return al.cache.desired(), nil
		},
		Watch: al.watch,
	}
}

// watch follows every prefix. It delivers the first VM specs only after all prefixes have been read.
func (al *allocator) watch(ctx context.Context, onRead func(intent.Prefix, error)) <-chan Desired {
	al.watching.Store(true)
	out := make(chan Desired, 1)
	changed := make(chan anyReplica)
	for _, s := range al.cache.replicas() {
		go func() {
			snapshots := al.store.Watch(ctx, s.watchPrefix(), onRead)
			for {
				select {
				case snapshot := <-snapshots:
					al.cache.replace(s, snapshot)
				case <-ctx.Done():
					return
				}
				select {
				case changed <- s:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	go al.deliver(ctx, changed, out)
	return out
}

// deliver forwards changed VM specs, and wakes the loop for any other change.
func (al *allocator) deliver(ctx context.Context, changed <-chan anyReplica, out chan Desired) {
	delivered := false
	for {
		select {
		case s := <-changed:
			switch {
			case !al.cache.allLoaded():
			case !delivered || s == anyReplica(al.cache.alloc.vms):
				delivered = true
				select {
				case <-out: // not received yet: the newest value replaces it
				default:
				}
				out <- al.cache.desired()
			default:
				al.wake()
			}
		case <-ctx.Done():
			return
		}
	}
}
