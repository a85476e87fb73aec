package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/tmaxmax/go-sse"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// BenchmarkWriteToPaint measures from before the write of a ledger to the frame that shows it, in a real browser: both
// clocks are this machine's. Writes are as far apart as people and allocators make them, from at once to most of a
// second, so that some meet a watch that has to pause. Beside the whole it tells where the time goes: until the store
// has taken the write, and until the news is on the wire.
func BenchmarkWriteToPaint(b *testing.B) {
	for _, kind := range []string{"embedded", "consul"} {
		b.Run(kind, func(b *testing.B) {
			w, page := openPage(b, servers[kind], "/?region=SIN")
			wire := w.listenTo("/events?region=SIN")
			r := rand.New(rand.NewPCG(4, 2026))
			var written, told, painted []float64
			for round := range 60 {
				n := 1 + round%7
				ask[bool](page, fmt.Sprintf(`(window.arrival = new Promise((done) => {
					const card = document.getElementById('m-metal-2.sin.example.net');
					const sees = () => card.innerText.includes('%d of 32 free') && (eyes.disconnect(), requestAnimationFrame(() => {
						const next = new MessageChannel(); // the frame after this one has been painted
						next.port1.onmessage = () => done(Date.now());
						next.port2.postMessage(0);
					}));
					const eyes = new MutationObserver(sees);
					eyes.observe(document.body, {subtree: true, childList: true, characterData: true});
				}), true)`, 32-4*n))
				time.Sleep(time.Duration(r.IntN(800)) * time.Millisecond)
				began := time.Now()
				since := func(at time.Time) float64 { return float64(at.Sub(began).Microseconds()) / 1000 }
				w.hold("SIN", "metal-2.sin.example.net", n)
				written = append(written, since(time.Now()))
				at, err := chromedp.Run(page.ctx, chromedp.Evaluate[float64]("arrival", chromedp.EvalAwaitPromise))
				if err != nil {
					b.Fatal(err)
				}
				painted = append(painted, since(time.UnixMilli(int64(at))))
				told = append(told, since(wire(fmt.Sprintf(">%d</b> of 32 free", 32-4*n))))
			}
			report(b, written, "written", 50)
			report(b, told, "wire", 50, 95)
			report(b, painted, "", 50, 95)
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkBusyToPaint measures a store in which one ledger is written ten times a second: how long until a page shows
// each state or a later one, which is what somebody who looks at it can be behind.
func BenchmarkBusyToPaint(b *testing.B) {
	for _, kind := range []string{"embedded", "consul"} {
		b.Run(kind, func(b *testing.B) {
			w, page := openPage(b, servers[kind], "/?region=SIN")
			ask[bool](page, `(window.shown = [], new MutationObserver(() => requestAnimationFrame(() => {
				const free = +document.getElementById('m-metal-2.sin.example.net').innerText.match(/(\d+) of 32 free/)[1];
				if (shown.at(-1)?.[1] !== free) shown.push([Date.now(), free]);
			})).observe(document.getElementById('cards'), {subtree: true, childList: true, characterData: true}), true)`)
			const writes, states = 150, 30
			var began []time.Time
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for n := range writes {
				<-tick.C
				began = append(began, time.Now())
				w.put(w.tree.Ledger("SIN", "metal-2.sin.example.net"), intent.Ledger{Entries: []intent.Entry{{VM: "web.0", Cores: 1 + n%states, Memory: intent.GB, Intent: 1}}})
			}
			last := 32 - (1 + (writes-1)%states)
			page.until("the last state", fmt.Sprintf("shown.at(-1)[1] === %d", last))
			var behind []float64
			next := 0 // the first write that was not shown yet
			for _, s := range ask[[][2]float64](page, "shown") {
				n := next // states come again later than any of them takes
				for n < writes && 32-(1+n%states) != int(s[1]) {
					n++
				}
				for ; n < writes && next <= n; next++ {
					behind = append(behind, s[0]-float64(began[next].UnixMicro())/1000)
				}
			}
			report(b, behind, "", 50, 95)
			b.ReportMetric(0, "ns/op")
		})
	}
}

// report tells percentiles of times in milliseconds.
func report(b *testing.B, took []float64, of string, percentiles ...int) {
	slices.Sort(took)
	for _, p := range percentiles {
		b.ReportMetric(took[len(took)*p/100], strings.TrimPrefix(fmt.Sprintf("%s-p%d-ms", of, p), "-"))
	}
}

// listenTo reads a stream. What it returns says when a text first came since the text asked for before.
func (w *harness) listenTo(path string) (when func(text string) time.Time) {
	w.t.Helper()
	response, err := http.Get("http://" + w.listen + path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { response.Body.Close() })
	type event struct {
		at   time.Time
		data string
	}
	events := make(chan event, 1000)
	go func() {
		for e, err := range sse.Read(response.Body, nil) {
			if err != nil {
				return
			}
			events <- event{time.Now(), e.Data}
		}
	}()
	return func(text string) time.Time {
		for {
			select {
			case e := <-events:
				if strings.Contains(e.data, strings.ReplaceAll(text, `"`, `\"`)) {
					return e.at
				}
			case <-time.After(hang):
				w.t.Fatalf("the stream never told of %s", text)
			}
		}
	}
}

// BenchmarkOpenPage leaves a page open for a minute, or for PLATYPUS_IDLE: the store must not move.
func BenchmarkOpenPage(b *testing.B) {
	w, _ := openPage(b, embeddedServer, "/")
	span := time.Minute
	if d, err := time.ParseDuration(os.Getenv("PLATYPUS_IDLE")); err == nil {
		span = d
	}
	before, cpu := w.index(), w.cpu()
	time.Sleep(span)
	b.ReportMetric(float64(w.index()-before), "store-writes")
	b.ReportMetric(100*(w.cpu()-cpu).Seconds()/span.Seconds(), "cpu-%")
	b.ReportMetric(w.resident(), "MiB")
	b.ReportMetric(0, "ns/op")
}

// cpu is what the dashboard has used of a processor.
func (w *harness) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
	if err != nil {
		w.t.Skip("needs /proc")
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is the memory that the dashboard holds, in MiB.
func (w *harness) resident() float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kB, _ := strconv.Atoi(fields[0])
	return float64(kB) / 1024
}

// BenchmarkPageOfMany measures 5,000 machines: the first reading, one change until it is drawn, and what a browser
// gets.
func BenchmarkPageOfMany(b *testing.B) {
	s := large(5000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	reader := s.reader(time.Now)
	now := reader.Fleet()
	first := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	all, region := render(now, selection{}), render(now, selection{Region: "R07"})
	whole, part := encode(diff(rendering{}, all)), encode(diff(rendering{}, region))
	ledgers := slices.Clone(s.parts[s.tree.Ledgers()])
	const rounds = 30
	sent := 0
	began = time.Now()
	for round := range rounds {
		value, _ := json.Marshal(intent.Ledger{Entries: []intent.Entry{{VM: fmt.Sprintf("web.%d", round), Cores: 1 + round%60, Memory: intent.GB, Intent: 1}}})
		ledgers[7].Value, ledgers[7].ModifyIndex = value, uint64(1e6+round)
		reader.Take(s.tree.Ledgers(), store.Snapshot{Pairs: ledgers, Index: uint64(1e6 + round)})
		next := render(reader.Fleet(), selection{Region: "R07"})
		sent += len(encode(diff(region, next)))
		region = next
	}
	b.ReportMetric(float64(time.Since(began).Milliseconds())/float64(rounds), "ms-change")
	b.ReportMetric(float64(sent)/float64(rounds)/1000, "kB-delta")
	b.ReportMetric(float64(first.Milliseconds()), "ms-first")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-heap")
	b.ReportMetric(packed(whole), "kB-fleet-gz")
	b.ReportMetric(packed(part), "kB-region-gz")
	b.ReportMetric(0, "ns/op")
}

// packed is the size of data on the wire, in kB.
func packed(data []byte) float64 {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, _ = zip.Write(data)
	_ = zip.Close()
	return float64(out.Len()) / 1000
}
