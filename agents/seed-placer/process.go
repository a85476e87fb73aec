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

// process is one worker, restarted whenever it ends.
type process struct {
	workers   *workers
	name      string
	listeners listeners
	started   chan struct{} // closed once the first process was started, or could not be
	stop      context.CancelFunc
	changed   chan struct{} // the configuration has changed

	mu         sync.Mutex
	config     wire.Config
	statuses   map[string]wire.Status
	lastReport time.Time
	lastExit   exitRecord
}

// exitRecord describes the last exit: the seeds that were active, the fatal line that the process printed, and how
// long it was silent if it was killed for that.
type exitRecord struct {
	loading, calling []string
	lastOutput       string
	silence          time.Duration
}

func (w *process) updateConfig(change func(*wire.Config)) {
	w.mu.Lock()
	change(&w.config)
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// run restarts the worker until ctx ends.
func (w *process) run(ctx context.Context) {
	if w.name != sharedWorker {
		defer w.listeners.close()
	}
	markStarted := sync.OnceFunc(func() { close(w.started) })
	defer markStarted()
	for wait := firstRestartWait; ctx.Err() == nil; {
		began := time.Now()
		started, err := w.runOnce(ctx, markStarted)
		markStarted()
		if ctx.Err() != nil {
			return
		}
		w.recordReport(wire.Report{})
		lived := time.Since(began)
		if lived > stableAfter {
			wait = firstRestartWait
		}
		switch {
		case !started:
			w.workers.placer.agent.Log.Warn("", fmt.Sprintf("worker %s cannot be started: %v", workerLabel(w.name), err))
		case w.name == sharedWorker:
			w.isolateSuspects(err)
		default:
			w.waitAfterCrash(ctx, err, lived)
			continue
		}
		pause(ctx, wait)
		wait = min(2*wait, maxRestartWait)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func workerLabel(name string) string {
	if name == sharedWorker {
		return "of all seeds"
	}
	return "of " + name
}

// runOnce runs one process of the worker, and calls markStarted once it has started. started is false if it could not
// be started.
func (w *process) runOnce(ctx context.Context, markStarted func()) (started bool, err error) {
	self, err := executable()
	if err != nil {
		return false, err
	}
	inherited, err := w.listeners.inherit()
	if err != nil {
		return false, err
	}
	defer inherited.closePipes()
	defer inherited.close()
	activity, err := w.workers.newActivityFile()
	if err != nil {
		return false, err
	}
	defer activity.Close()
	cmd := exec.Command(self, append([]string{worker.Subcommand, wire.Activity}, inherited.names...)...)
	cmd.Args[0] = os.Args[0] // a combined binary selects the program by the name it is called by
	cmd.ExtraFiles = append([]*os.File{activity}, inherited.files...)
	cmd.Env = workerEnv()
	cmd.SysProcAttr = workerAttributes()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return false, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return false, err
	}
	if err := startWorker(cmd); err != nil {
		return false, err
	}
	markStarted()
	inherited.close() // the child has its own copies
	var streams sync.WaitGroup
	processCtx, endProcess := context.WithCancel(ctx)
	streams.Go(func() { inherited.serveSigner(w.workers.placer.tls.reloader) })
	streams.Go(func() { w.sendConfig(processCtx, stdin) })
	streams.Go(func() { w.killIfSilent(processCtx, cmd.Process) })
	streams.Go(func() { w.readReports(stdout); endProcess() })
	streams.Go(func() { w.logOutput(stderr) })
	streams.Wait()
	endProcess()
	err = cmd.Wait()
	w.mu.Lock()
	w.lastExit.loading, w.lastExit.calling = worker.ReadActivity(activity)
	w.mu.Unlock()
	return true, w.exitReason(err)
}

// exitReason returns why the worker ended, with the fatal line that it printed.
func (w *process) exitReason(err error) error {
	switch {
	case w.lastExit.silence > 0:
		err = fmt.Errorf("it said nothing for %v and was killed", w.lastExit.silence.Round(time.Second))
	case err == nil:
		err = errExited
	}
	if w.lastExit.lastOutput != "" {
		err = fmt.Errorf("%w: %s", err, w.lastExit.lastOutput)
	}
	return err
}

var errExited = errors.New("it ended by itself")

// workerEnv passes only the variables of the Go runtime on: a worker must not see secrets.
func workerEnv() []string {
	env := []string{}
	for _, name := range []string{"GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// sendConfig writes the configuration whenever it changes. Closing the pipe ends the worker.
func (w *process) sendConfig(ctx context.Context, in io.WriteCloser) {
	defer in.Close()
	encoder := json.NewEncoder(in)
	for {
		w.mu.Lock()
		config := w.config
		w.mu.Unlock()
		if err := encoder.Encode(config); err != nil {
			return
		}
		select {
		case <-w.changed:
		case <-ctx.Done():
			return
		}
	}
}

// readReports reads the worker's reports until it ends.
func (w *process) readReports(out io.Reader) {
	decoder := json.NewDecoder(bufio.NewReader(out))
	for {
		var report wire.Report
		if err := decoder.Decode(&report); err != nil {
			return
		}
		w.recordReport(report)
	}
}

// recordReport stores a report, and requests a pass if something relevant has changed.
func (w *process) recordReport(report wire.Report) {
	w.mu.Lock()
	before := w.statuses
	w.statuses, w.lastReport = report.Seeds, time.Now()
	w.mu.Unlock()
	changed := len(before) != len(report.Seeds)
	for name, s := range report.Seeds {
		previous := before[name]
		changed = changed || previous.State != s.State || previous.Digest != s.Digest || previous.Load.TargetLoad != s.Load.TargetLoad || previous.Error != s.Error || previous.Stage != s.Stage ||
			previous.Load.InFlight > 0 && s.Load.InFlight == 0
	}
	if changed {
		w.workers.placer.wake()
	}
}

// fatalText returns the text of a line that a dying process prints.
func fatalText(line string) (text string, yes bool) {
	for _, begin := range []string{"worker: ", "panic: ", "fatal error: "} {
		if strings.HasPrefix(line, begin) {
			return strings.TrimPrefix(line[:min(len(line), 300)], "worker: "), true
		}
	}
	return "", false
}

// killIfSilent kills a worker that stops reporting: a trusted seed in an endless loop blocks the whole process.
func (w *process) killIfSilent(ctx context.Context, child *os.Process) {
	w.mu.Lock()
	w.lastReport = time.Now()
	w.mu.Unlock()
	w.lastExit.silence = 0
	tick := time.NewTicker(wire.ReportInterval)
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
		silence := time.Since(w.lastReport)
		w.mu.Unlock()
		if silence > wire.ReportTimeout {
			w.workers.placer.agent.Log.Warn("", fmt.Sprintf("worker %s says nothing for %v: it is killed", workerLabel(w.name), silence.Round(time.Second)))
			w.lastExit.silence = silence
			_ = child.Kill()
			return
		}
	}
}

// logOutput copies the worker's standard error to the agent's log.
func (w *process) logOutput(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(make([]byte, 4<<10), 64<<10)
	w.lastExit.lastOutput = ""
	for lines.Scan() {
		if last, ok := fatalText(lines.Text()); ok && w.lastExit.lastOutput == "" {
			w.lastExit.lastOutput = last
		}
		w.workers.logLine(lines.Text())
	}
	_, _ = io.Copy(io.Discard, stderr)
}
