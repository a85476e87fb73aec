package agent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/platypus-platform/platypus/agents/converge"
)

// unreadyAfter is how long the store may be unreachable before /readyz fails: a leader election is shorter.
const unreadyAfter = time.Minute

// metrics holds an agent's metrics and serves its health pages.
type metrics struct {
	agent    *Agent
	health   *storeHealth
	registry *prometheus.Registry
	passes   *prometheus.CounterVec
	seconds  prometheus.Histogram
	subjects *prometheus.GaugeVec
	success  prometheus.Gauge
	ready    atomic.Bool
	page     http.Handler // served at /, if set
}

func newMetrics(a *Agent, health *storeHealth) *metrics {
	labels := prometheus.Labels{"agent": a.Name}
	m := &metrics{agent: a, health: health, registry: prometheus.NewRegistry()}
	m.passes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "platypus_reconcile_total",
		Help: "Passes by result: converged, pending or failed.", ConstLabels: labels}, []string{"result"})
	m.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "platypus_reconcile_seconds",
		Help: "Time to observe the host.", ConstLabels: labels, Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)})
	m.subjects = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "platypus_subjects",
		Help: "Subjects by state.", ConstLabels: labels}, []string{"state"})
	m.success = prometheus.NewGauge(prometheus.GaugeOpts{Name: "platypus_last_success_timestamp_seconds",
		Help: "When a pass last found everything converged.", ConstLabels: labels})
	store := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "platypus_store_up",
		Help: "1 while the store answers.", ConstLabels: labels}, m.storeUp)
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "platypus_build_info", Help: "Constant 1, labelled with the build.",
		ConstLabels: prometheus.Labels{"agent": a.Name, "version": Version, "goversion": runtime.Version()}}, func() float64 { return 1 })
	m.registry.MustRegister(m.passes, m.seconds, m.subjects, m.success, store, build,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(a.Meters...)
	return m
}

func (m *metrics) storeUp() float64 {
	if _, err := m.health.down(); err != nil {
		return 0
	}
	return 1
}

func (m *metrics) pass(p converge.Pass) {
	result := "pending"
	switch {
	case p.Failed():
		result = "failed"
	case p.Converged():
		result = "converged"
		m.success.SetToCurrentTime()
	}
	m.passes.WithLabelValues(result).Inc()
	m.ready.Store(p.Err == nil)
	if p.Err != nil {
		return
	}
	m.subjects.Reset()
	for _, o := range p.Outcomes {
		m.subjects.WithLabelValues(o.Phase).Inc()
	}
}

// serve listens at unix:PATH or HOST:PORT until ctx ends. With an empty address it does nothing.
func (m *metrics) serve(ctx context.Context, address string) error {
	if address == "" {
		return nil
	}
	network, address := "tcp", address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		if at, err := os.Lstat(path); err == nil && at.Mode()&os.ModeSocket != 0 {
			_ = os.Remove(path) // left by a previous process, which has ended: this one holds the lock
		}
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return Usage("--listen: %w", err)
	}
	server := &http.Server{Handler: m.pages(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

func (m *metrics) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if down, err := m.health.down(); err != nil && down > unreadyAfter {
			http.Error(w, fmt.Sprintf("the store has not answered for %s: %v", down.Round(time.Second), err), http.StatusServiceUnavailable)
			return
		}
		if !m.ready.Load() {
			http.Error(w, "no pass has succeeded yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	if m.page != nil {
		mux.Handle("/", m.page)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}

// timeObserve measures each observation of the host.
func timeObserve[A any](m *metrics, observe func(context.Context) (A, error)) func(context.Context) (A, error) {
	return func(ctx context.Context) (A, error) {
		defer prometheus.NewTimer(m.seconds).ObserveDuration()
		return observe(ctx)
	}
}
