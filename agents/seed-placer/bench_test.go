package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// plainHTTP is the reference: net/http alone.
func plainHTTP() {
	err := http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
		_, _ = w.Write([]byte("hello, "))
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// BenchmarkRestart stops an agent, starts it again and waits for the first answer of a Go seed of 3.4 MB whose code is in
// the cache; and kills the worker alone.
func BenchmarkRestart(b *testing.B) {
	c := newCluster(b, embedtest.Start(b))
	m := c.start(1)
	c.publish(m, fixture.Go(b, "reactor+"), "hello", nil)
	c.ready("hello", 1)
	var took []float64
	for b.Loop() {
		m.kill()
		began := time.Now()
		c.start(1)
		for {
			if status, _ := c.call(m, "hello/hello", "x"); status == http.StatusOK {
				break
			}
			if time.Since(began) > hang {
				b.Fatal("no answer")
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	b.ReportMetric(median(took), "ms/restart")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkReady asks for a second replica of a Go seed on a node that has the module and its code already, and waits until
// the store says that it is ready; then it asks for one again.
func BenchmarkReady(b *testing.B) {
	c := newCluster(b, embedtest.Start(b))
	for i := 1; i <= 2; i++ {
		c.start(i)
	}
	module := fixture.Go(b, "reactor+")
	c.publish(c.nodes["n1"], module, "hello", map[string]any{"min_replicas": 2})
	c.ready("hello", 2)
	seed, _, err := c.store.Get(b.Context(), c.tree.Seed("hello"), store.Default)
	if err != nil {
		b.Fatal(err)
	}
	one := bytes.Replace(seed.Value, []byte(`"min_replicas":2`), []byte(`"min_replicas":1`), 1)
	if bytes.Equal(one, seed.Value) {
		b.Fatalf("%s", one)
	}
	var took []float64
	for b.Loop() {
		if err := c.store.Put(b.Context(), seed.Key, one); err != nil {
			b.Fatal(err)
		}
		c.until("one is given up", func() bool { return len(c.replicas("hello")) == 1 })
		began := time.Now()
		if err := c.store.Put(b.Context(), seed.Key, seed.Value); err != nil {
			b.Fatal(err)
		}
		c.ready("hello", 2)
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	b.ReportMetric(median(took), "ms/ready")
	b.ReportMetric(slices.Max(took), "ms/ready-max")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkOverload calls a seed that computes for a while from ten times as many callers as can be served at once, for
// PLATYPUS_BENCH_SPAN (60 s), after one caller and two for a quarter of that each, and once more when it is over; all on the
// same processors, from the same process. PLATYPUS_BENCH_ROUNDS (1) is in how many parts, in turn with the others: each
// begins with the burst before the queue stands.
func BenchmarkOverload(b *testing.B) {
	b.Setenv("GOMAXPROCS", "1")
	rounds, span := time.Duration(1), time.Minute
	if n, err := strconv.Atoi(os.Getenv("PLATYPUS_BENCH_ROUNDS")); err == nil && n > 0 {
		rounds = time.Duration(n)
	}
	if text := os.Getenv("PLATYPUS_BENCH_SPAN"); text != "" {
		span, _ = time.ParseDuration(text)
	}
	c := newCluster(b, embedtest.Start(b))
	m := c.start(1)
	c.publish(m, fixture.Go(b, "reactor+"), "sum", nil)
	c.ready("sum", 1)
	input := strings.Repeat("x", 256<<10)
	press(c, m, input, 1, time.Second)
	for b.Loop() {
		var idle, peak, busy []float64
		var recovery time.Duration
		for range rounds {
			idle = append(idle, press(c, m, input, 1, span/rounds/4)...)
			peak = append(peak, press(c, m, input, 2, span/rounds/4)...)
			busy = append(busy, press(c, m, input, 20, span/rounds)...)
			began := time.Now()
			for status := 0; status != http.StatusOK; status, _ = c.call(m, "sum/sum", input) {
				if time.Since(began) > hang {
					b.Fatal("it does not recover")
				}
			}
			recovery = max(recovery, time.Since(began))
		}
		b.ReportMetric(float64(len(busy))/float64(len(peak))/4, "goodput/peak")
		b.ReportMetric(quantile(busy, 0.99)/quantile(idle, 0.99), "p99/idle")
		b.ReportMetric(quantile(busy, 0.5)/quantile(idle, 0.5), "p50/idle")
		b.ReportMetric(quantile(idle, 0.99), "idle-p99-ms")
		b.ReportMetric(4*float64(len(peak))/span.Seconds(), "peak-calls/s")
		b.ReportMetric(float64(recovery.Milliseconds()), "recovery-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// press calls from so many callers, who ask again at once when they are refused, and returns how long each answer took,
// in milliseconds.
func press(c *cluster, m *member, input string, callers int, span time.Duration) (took []float64) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all sync.WaitGroup
	end := time.Now().Add(span)
	for range callers {
		all.Go(func() {
			for time.Now().Before(end) {
				began := time.Now()
				response, err := client.Post("http://"+m.address+"/call/sum/sum", "", bytes.NewReader([]byte(input)))
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode == http.StatusOK {
					mu.Lock()
					took = append(took, float64(time.Since(began).Microseconds())/1000)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return took
}

func quantile(v []float64, q float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return v[min(len(v)-1, int(q*float64(len(v))))]
}
