// Package worker is the process in which seeds run. It reads its configuration from standard input and writes reports
// to standard output. It owns the listeners, so that a call passes through no other process. It has no access to the
// store, no secret in its environment, and no key: see [Listeners].
package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/blob"
	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/agents/seed-placer/gate"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// Subcommand is the first argument of a worker process.
const Subcommand = "worker"

// Main is the main function of a worker. It returns the exit code when standard input ends.
func Main() int {
	if err := limitProcess(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	files := map[string]*os.File{}
	for i, name := range os.Args[2:] {
		closeOnExec(3 + i) // compile processes must not inherit it
		files[name] = os.NewFile(uintptr(3+i), name)
	}
	l, err := openListeners(files)
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker: it is started by seed-placer, not by hand:", err)
		return 64
	}
	activity, err := openActivity(files[wire.Activity])
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	if err := run(context.Background(), os.Stdin, os.Stdout, os.Stderr, l, activity); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	return 0
}

// Worker runs the seeds and sites of its configuration.
type Worker struct {
	mu             sync.RWMutex
	config         wire.Config
	seeds          map[string]*slot
	sites          *sites
	engine         *engine.Engine
	blobs          *blob.Store
	peers          *peers
	listeners      *Listeners
	reportRequests chan struct{} // asks for a report
	log            *logWriter
	inFlight       *byteLimiter
	cpu            *gate.Limiter // limits how many seeds compute at once
	activity       *activity
}

// Run applies the configurations that it reads from in until in ends.
func Run(ctx context.Context, in io.Reader, out, log io.Writer, listeners *Listeners) error {
	return run(ctx, in, out, log, listeners, nil)
}

// processors returns how many seeds may compute at once: one per processor. Go gets one more for I/O, because a
// computing seed does not yield its thread until its call ends.
var processors = sync.OnceValue(func() int {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 1)
	return n
})

func run(ctx context.Context, in io.Reader, out, log io.Writer, listeners *Listeners, activity *activity) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	configs := bufio.NewReaderSize(in, 1<<16)
	first, err := readConfig(configs)
	if err != nil {
		return err
	}
	w, err := newWorker(first, log, listeners, activity)
	if err != nil {
		return err
	}
	overdue := make(chan string, 1)
	w.engine.Memory.Reclaim, w.engine.Overdue = w.trimIdle, func(seed string) {
		select {
		case overdue <- seed:
		default:
		}
	}
	if err := w.update(first); err != nil {
		return err
	}
	defer w.startServers().Close()
	go w.report(ctx, json.NewEncoder(out))
	ended := make(chan error, 1)
	go func() { ended <- w.followConfigs(configs) }()
	select {
	case err := <-ended:
		return err
	case seed := <-overdue:
		return fmt.Errorf("a call of %s goes on %v after its deadline", seed, engine.OverdueGrace)
	}
}

// newWorker returns a worker that has not applied its first configuration.
func newWorker(first wire.Config, log io.Writer, listeners *Listeners, activity *activity) (w *Worker, err error) {
	logger := &logWriter{out: log}
	peers := newPeers(func(text string) { logger.write("-", engine.Warn, text) })
	w = &Worker{seeds: map[string]*slot{}, reportRequests: make(chan struct{}, 1), log: logger, sites: &sites{peers: peers},
		peers: peers, listeners: listeners,
		cpu: gate.New(processors(), maxRunnable), activity: activity, inFlight: newByteLimiter()}
	if w.blobs, err = blob.Open(first.Blobs); err != nil {
		return nil, err
	}
	if w.engine, err = engine.New(first.Cache, w); err == nil && listeners.separateProcess {
		limit := first.CompileTime
		w.engine.Compile = func(ctx context.Context, dir string, spec engine.Spec, module []byte) error {
			return compileApart(ctx, dir, spec, module, limit)
		}
	}
	return w, err
}

// followConfigs applies configurations until they end.
func (w *Worker) followConfigs(configs *bufio.Reader) error {
	for {
		config, err := readConfig(configs)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.update(config); err != nil {
			return err
		}
	}
}

// update applies a configuration.
func (w *Worker) update(t wire.Config) error {
	state, err := w.listeners.setTLS(t.TLS)
	if err != nil {
		return err
	}
	w.peers.setTLS(state)
	w.applyConfig(t)
	return nil
}

// maxConfig limits a configuration, in bytes.
const maxConfig = 64 << 20

func readConfig(from *bufio.Reader) (t wire.Config, err error) {
	line, err := from.ReadSlice('\n')
	var long []byte
	for errors.Is(err, bufio.ErrBufferFull) && len(long) < maxConfig {
		long = append(long, line...)
		line, err = from.ReadSlice('\n')
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(append(long, line...), &t)
}

// report writes a report after each change, and every second.
func (w *Worker) report(ctx context.Context, to *json.Encoder) {
	beat := time.NewTicker(wire.ReportInterval)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
		case <-w.reportRequests:
		case <-ctx.Done():
			return
		}
		if err := to.Encode(w.status()); err != nil {
			return
		}
	}
}

func (w *Worker) requestReport() {
	select {
	case w.reportRequests <- struct{}{}:
	default:
	}
}

func (w *Worker) status() wire.Report {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := wire.Report{Seeds: map[string]wire.Status{}, Sites: w.sites.problems()}
	for name, s := range w.seeds {
		r.Seeds[name] = s.status()
	}
	return r
}
