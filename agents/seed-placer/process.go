package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/agents/seed-placer/worker"
)

// process is one worker, started again whenever it ends.
type process struct {
	crew  *crew
	name  string
	doors doors
	life
	news chan struct{} // the table has changed

	mu    sync.Mutex
	table wire.Table
	seeds map[string]wire.Status
	heard time.Time // the last report
	ended ended
}

// life is the time in which a worker is kept up.
type life struct {
	begun chan struct{} // closed once its first process was started, or could not be
	stop  context.CancelFunc
}

// ended is what a worker was at work on when it ended, what it said at last, and for how long it had said nothing if it
// was killed for that.
type ended struct {
	loading, calling []string
	words            string
	silent           time.Duration
}

func (w *process) set(change func(*wire.Table)) {
	w.mu.Lock()
	change(&w.table)
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// run keeps the worker up until ctx ends.
func (w *process) run(ctx context.Context) {
	if w.name != front {
		defer w.doors.close()
	}
	tried := sync.OnceFunc(func() { close(w.begun) })
	defer tried()
	for wait := restartAfter; ctx.Err() == nil; {
		began := time.Now()
		started, err := w.once(ctx, tried)
		tried()
		if ctx.Err() != nil {
			return
		}
		w.note(wire.Report{})
		lived := time.Since(began)
		if lived > goodLife {
			wait = restartAfter
		}
		switch {
		case !started:
			w.crew.placer.agent.Log.Warn("", fmt.Sprintf("worker %s cannot be started: %v", label(w.name), err))
		case w.name == front:
			w.suspects(err)
		default:
			w.alone(ctx, err, lived)
			continue
		}
		pause(ctx, wait)
		wait = min(2*wait, restartMost)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func label(name string) string {
	if name == front {
		return "of all seeds"
	}
	return "of " + name
}

// once is one life of the worker, which calls tried as soon as it has begun. It did not even begin when started is false.
func (w *process) once(ctx context.Context, tried func()) (started bool, err error) {
	self, err := executable()
	if err != nil {
		return false, err
	}
	open, err := w.doors.open()
	if err != nil {
		return false, err
	}
	defer open.hangUp()
	defer open.close()
	notes, err := w.crew.notes()
	if err != nil {
		return false, err
	}
	defer notes.Close()
	cmd := exec.Command(self, append([]string{worker.Word, wire.Notes}, open.names...)...)
	cmd.Args[0] = os.Args[0] // one file may hold several programs: it runs the one whose name it is started by
	cmd.ExtraFiles = append([]*os.File{notes}, open.files...)
	cmd.Env = environment()
	cmd.SysProcAttr = attributes()
	in, err := cmd.StdinPipe()
	if err != nil {
		return false, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	words, err := cmd.StderrPipe()
	if err != nil {
		return false, err
	}
	if err := start(cmd); err != nil {
		return false, err
	}
	tried()
	open.close() // what is the process's alone ends with it
	var side sync.WaitGroup
	life, end := context.WithCancel(ctx)
	side.Go(func() { open.lend(w.crew.placer.proof.current) })
	side.Go(func() { w.write(life, in) })
	side.Go(func() { w.watch(life, cmd.Process) })
	side.Go(func() { w.read(out); end() })
	side.Go(func() { w.listen(words) })
	side.Wait()
	end()
	err = cmd.Wait()
	w.mu.Lock()
	w.ended.loading, w.ended.calling = worker.Busy(notes)
	w.mu.Unlock()
	return true, w.why(err)
}

// why says why the worker ended, in its own words where it had some.
func (w *process) why(err error) error {
	switch {
	case w.ended.silent > 0:
		err = fmt.Errorf("it said nothing for %v and was killed", w.ended.silent.Round(time.Second))
	case err == nil:
		err = errEnded
	}
	if w.ended.words != "" {
		err = fmt.Errorf("%w: %s", err, w.ended.words)
	}
	return err
}

var errEnded = errors.New("it ended by itself")

// environment is that of a worker: nothing but what Go itself goes by.
func environment() []string {
	env := []string{}
	for _, name := range []string{"GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// write gives the worker its table whenever it changes. Closing the pipe ends the worker.
func (w *process) write(ctx context.Context, in io.WriteCloser) {
	defer in.Close()
	encoder := json.NewEncoder(in)
	for {
		w.mu.Lock()
		table := w.table
		w.mu.Unlock()
		if err := encoder.Encode(table); err != nil {
			return
		}
		select {
		case <-w.news:
		case <-ctx.Done():
			return
		}
	}
}

// read takes the worker's reports.
func (w *process) read(out io.Reader) {
	decoder := json.NewDecoder(bufio.NewReader(out))
	for {
		var report wire.Report
		if err := decoder.Decode(&report); err != nil {
			return
		}
		w.note(report)
	}
}

// note keeps a report, and asks for a pass when it says something new.
func (w *process) note(report wire.Report) {
	w.mu.Lock()
	before := w.seeds
	w.seeds, w.heard = report.Seeds, time.Now()
	w.mu.Unlock()
	news := len(before) != len(report.Seeds)
	for name, s := range report.Seeds {
		b := before[name]
		news = news || b.State != s.State || b.Digest != s.Digest || b.Load.Wants != s.Load.Wants || b.Error != s.Error || b.Stage != s.Stage ||
			b.Load.InFlight > 0 && s.Load.InFlight == 0
	}
	if news {
		w.crew.placer.nudge()
	}
}

// lastWords reports whether a line is one by which a process says why it ends.
func lastWords(line string) (text string, yes bool) {
	for _, begin := range []string{"worker: ", "panic: ", "fatal error: "} {
		if strings.HasPrefix(line, begin) {
			return strings.TrimPrefix(line[:min(len(line), 300)], "worker: "), true
		}
	}
	return "", false
}

// watch kills a worker that says nothing for too long: a trusted seed in an endless loop stops all of it.
func (w *process) watch(ctx context.Context, child *os.Process) {
	w.mu.Lock()
	w.heard = time.Now()
	w.mu.Unlock()
	w.ended.silent = 0
	tick := time.NewTicker(wire.Beat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			grace := time.AfterFunc(2*time.Second, func() { _ = child.Kill() })
			defer grace.Stop()
			return
		}
		w.mu.Lock()
		silent := time.Since(w.heard)
		w.mu.Unlock()
		if silent > wire.Silence {
			w.crew.placer.agent.Log.Warn("", fmt.Sprintf("worker %s says nothing for %v: it is killed", label(w.name), silent.Round(time.Second)))
			w.ended.silent = silent
			_ = child.Kill()
			return
		}
	}
}

// listen puts what the worker says into the log.
func (w *process) listen(words io.Reader) {
	lines := bufio.NewScanner(words)
	lines.Buffer(make([]byte, 4<<10), 64<<10)
	w.ended.words = ""
	for lines.Scan() {
		if last, ok := lastWords(lines.Text()); ok && w.ended.words == "" {
			w.ended.words = last
		}
		w.crew.heard(lines.Text())
	}
	_, _ = io.Copy(io.Discard, words)
}
