// Package worker is the process in which seeds run. It is told what to do by a table on its standard input and reports on
// its standard output; it owns the listeners that calls arrive at, so that a call passes through no other process. It has
// no access to the store, nothing secret in its environment, and no key: see [Doors].
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

// Word is the first argument of a process that shall be a worker.
const Word = "worker"

// Main is a worker. It ends when its standard input does, and returns the exit code of the process.
func Main() int {
	if err := limitProcess(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	files := map[string]*os.File{}
	for i, name := range os.Args[2:] {
		closeOnExec(3 + i) // no process that compiles gets them
		files[name] = os.NewFile(uintptr(3+i), name)
	}
	d, err := openDoors(files)
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker: it is started by seed-placer, not by hand:", err)
		return 64
	}
	notes, err := openNotes(files[wire.Notes])
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	if err := run(context.Background(), os.Stdin, os.Stdout, os.Stderr, d, notes); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 1
	}
	return 0
}

// Worker is a running worker.
type Worker struct {
	mu     sync.RWMutex
	table  wire.Table
	seeds  map[string]*slot
	sites  *sites
	engine *engine.Engine
	blobs  *blob.Store
	ways
	news chan struct{} // asks for a report
	log  *lines
	ledger
}

// ledger is who computes, who is called, and what is under way.
type ledger struct {
	flight *flight
	cpu    *gate.Gate // bounds how many seeds compute at once
	notes  *notes
}

// ways are how a worker reaches others and is reached.
type ways struct {
	peers *peers
	doors *Doors
}

// Run works on the tables that it reads from in until that ends.
func Run(ctx context.Context, in io.Reader, out, log io.Writer, doors *Doors) error {
	return run(ctx, in, out, log, doors, nil)
}

// processors is how many seeds may compute at once: one for each processor. Go gets one thread more than that, for what goes
// in and out: it takes a thread on which a seed computes for nothing else until that call is over.
var processors = sync.OnceValue(func() int {
	n := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(n + 1)
	return n
})

func run(ctx context.Context, in io.Reader, out, log io.Writer, doors *Doors, notes *notes) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tables := bufio.NewReaderSize(in, 1<<16)
	first, err := readTable(tables)
	if err != nil {
		return err
	}
	w, err := begin(first, log, doors, notes)
	if err != nil {
		return err
	}
	overdue := make(chan string, 1)
	w.engine.Memory.Reclaim, w.engine.Overdue = w.reclaim, func(seed string) {
		select {
		case overdue <- seed:
		default:
		}
	}
	if err := w.take(first); err != nil {
		return err
	}
	defer w.serve().Close()
	go w.report(ctx, json.NewEncoder(out))
	ended := make(chan error, 1)
	go func() { ended <- w.follow(tables) }()
	select {
	case err := <-ended:
		return err
	case seed := <-overdue:
		return fmt.Errorf("a call of %s goes on %v after its deadline", seed, engine.Mercy)
	}
}

// begin returns a worker that has not begun with its first table.
func begin(first wire.Table, log io.Writer, doors *Doors, notes *notes) (w *Worker, err error) {
	said := &lines{out: log}
	others := newPeers(func(text string) { said.say("-", engine.Warn, text) })
	w = &Worker{seeds: map[string]*slot{}, news: make(chan struct{}, 1), log: said, sites: &sites{peers: others},
		ways:   ways{others, doors},
		ledger: ledger{cpu: gate.New(processors(), maxRunnable), notes: notes, flight: newFlight()}}
	if w.blobs, err = blob.Open(first.Blobs); err != nil {
		return nil, err
	}
	if w.engine, err = engine.New(first.Cache, w); err == nil && doors.apart {
		limit := first.Compile
		w.engine.Compile = func(ctx context.Context, dir string, spec engine.Spec, module []byte) error {
			return compileApart(ctx, dir, spec, module, limit)
		}
	}
	return w, err
}

// follow works on tables until they end.
func (w *Worker) follow(tables *bufio.Reader) error {
	for {
		table, err := readTable(tables)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.take(table); err != nil {
			return err
		}
	}
}

// take does what a table says.
func (w *Worker) take(t wire.Table) error {
	proven, err := w.doors.prove(t.Sealed)
	if err != nil {
		return err
	}
	w.peers.prove(proven)
	w.apply(t)
	return nil
}

// maxTable bounds a table, in bytes.
const maxTable = 64 << 20

func readTable(from *bufio.Reader) (t wire.Table, err error) {
	line, err := from.ReadSlice('\n')
	var long []byte
	for errors.Is(err, bufio.ErrBufferFull) && len(long) < maxTable {
		long = append(long, line...)
		line, err = from.ReadSlice('\n')
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(append(long, line...), &t)
}

// report writes a report whenever there is news, and every second.
func (w *Worker) report(ctx context.Context, to *json.Encoder) {
	beat := time.NewTicker(wire.Beat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
		case <-w.news:
		case <-ctx.Done():
			return
		}
		if err := to.Encode(w.status()); err != nil {
			return
		}
	}
}

func (w *Worker) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *Worker) status() wire.Report {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := wire.Report{Seeds: map[string]wire.Status{}, Sites: w.sites.faults()}
	for name, s := range w.seeds {
		r.Seeds[name] = s.status()
	}
	return r
}
