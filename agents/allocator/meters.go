package main

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/store"
)

// meters are the numbers that only an allocator has.
type meters struct {
	steps        *prometheus.CounterVec
	transactions *prometheus.CounterVec
	instances    *prometheus.GaugeVec
	passes       prometheus.Histogram
	began        time.Time // of the pass under way; only the loop's goroutine looks at it
}

func newMeters() *meters {
	labels := prometheus.Labels{"agent": program}
	return &meters{
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "platypus_allocator_steps_total",
			Help: "Steps that the store took, by verb: place, move, release and so on.", ConstLabels: labels}, []string{"verb"}),
		transactions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "platypus_allocator_transactions_total",
			Help:        "Transactions by result: committed, refused because another allocator or a person came first, or lost when the store failed.",
			ConstLabels: labels}, []string{"result"}),
		instances: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "platypus_allocator_instances",
			Help: "Instances of vms that are wished for, by state: placed or pending.", ConstLabels: labels}, []string{"state"}),
		passes: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "platypus_allocator_pass_seconds",
			Help: "Time from the look at the fleet until every step of a pass is decided.", ConstLabels: labels,
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}),
	}
}

func (m *meters) all() []prometheus.Collector {
	return []prometheus.Collector{m.steps, m.transactions, m.instances, m.passes}
}

// committed counts a transaction.
func (m *meters) committed(b *batch, err error) {
	switch {
	case err == nil:
		m.transactions.WithLabelValues("committed").Inc()
		for _, r := range b.requests {
			m.steps.WithLabelValues(string(r.step.Verb)).Inc()
		}
	case errors.Is(err, store.ErrConflict):
		m.transactions.WithLabelValues("refused").Inc()
	default:
		m.transactions.WithLabelValues("lost").Inc()
	}
}

// states tells where everything stands, which is the end of a pass.
func (h *hands) states(d Desired, a Actual) map[string]converge.State {
	t := tell(d, a)
	h.meters.instances.WithLabelValues("placed").Set(float64(t.placed))
	h.meters.instances.WithLabelValues("pending").Set(float64(t.wanted - t.placed))
	h.meters.passes.Observe(time.Since(h.meters.began).Seconds())
	return t.all
}
