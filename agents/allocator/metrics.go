package main

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/store"
)

// metrics are the metrics that only the allocator exports.
type metrics struct {
	steps        *prometheus.CounterVec
	transactions *prometheus.CounterVec
	instances    *prometheus.GaugeVec
	passes       prometheus.Histogram
	passStart    time.Time // of the current pass; used only by the loop's goroutine
}

func newMetrics() *metrics {
	labels := prometheus.Labels{"agent": program}
	return &metrics{
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

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.steps, m.transactions, m.instances, m.passes}
}

// observeTxn counts one transaction by result, and its steps by verb.
func (m *metrics) observeTxn(b *batch, err error) {
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

// states builds the report. It runs at the end of a pass and records the pass metrics.
func (al *allocator) states(d Desired, a Actual) map[string]converge.State {
	t := states(d, a)
	al.metrics.instances.WithLabelValues("placed").Set(float64(t.placed))
	al.metrics.instances.WithLabelValues("pending").Set(float64(t.wanted - t.placed))
	al.metrics.passes.Observe(time.Since(al.metrics.passStart).Seconds())
	return t.states
}
