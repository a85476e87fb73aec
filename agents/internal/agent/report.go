package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// reporter turns passes into reports and into log lines about states.
type reporter struct {
	agent       *Agent
	writer      *store.Reporter
	index       uint64            // of the intent of the current pass
	newest      chan pendingPass  // a pass that is not reported yet
	logged      map[string]string // the last reason logged for each subject
	transitions *transitionLog
	fault       string
	presence    *presence
	waiting     *intent.Report // held back until this copy may report
}

// pendingPass is a pass and the index of its intent.
type pendingPass struct {
	converge.Pass
	index uint64
}

// coalesceDelay is how long a pass waits before it is reported: most changes are over by then and need one report, not
// two, and a series of changes keeps neither the disk nor the store busy.
const coalesceDelay = 50 * time.Millisecond

func newReporter(a *Agent) *reporter {
	r := &reporter{agent: a, newest: make(chan pendingPass, 1), logged: map[string]string{}, transitions: newTransitionLog(a), presence: newPresence()}
	r.writer = a.Store.NewReporter(a.Tree.Status(intent.Name(a.Name), a.Node))
	return r
}

// recordIndex wraps States to record the index of the intent of each pass: a report must not claim newer intent that
// arrived meanwhile. It runs on the goroutine that makes the passes.
func recordIndex[D, A any, S converge.Step](r *reporter, source Source[D], loop *converge.Loop[D, A, S]) {
	states := loop.States
	loop.States = func(desired D, actual A) map[string]converge.State {
		r.index = source.Index(desired)
		return states(desired, actual)
	}
}

// writeReports writes reports until ctx ends. It logs a failure once.
func (r *reporter) writeReports(ctx context.Context) {
	r.writer.Run(ctx, func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != r.fault && text != "" && ctx.Err() == nil {
			r.agent.Log.Warn("", fmt.Sprintf("report: %v", err))
		}
		r.fault = text
	})
}

// enqueue passes the newest pass to run and replaces an older one. Only one goroutine calls it.
func (r *reporter) enqueue(p converge.Pass) {
	if p.Err != nil {
		return
	}
	select {
	case <-r.newest:
	default:
	}
	r.newest <- pendingPass{p, r.index}
}

// run reports passes until ctx ends.
func (r *reporter) run(ctx context.Context) {
	for {
		select {
		case t := <-r.newest:
			select {
			case <-time.After(coalesceDelay):
			case <-ctx.Done():
			}
			select {
			case t = <-r.newest:
			default:
			}
			r.process(t.Pass, t.index)
		case <-r.presence.changed:
			r.handOver()
		case <-ctx.Done():
			return
		}
	}
}

// flush reports the last pass after run has returned, and writes the report.
func (r *reporter) flush(ctx context.Context) error {
	select {
	case t := <-r.newest:
		r.process(t.Pass, t.index)
	default:
	}
	r.handOver()
	if !r.presence.mayReport.Load() {
		return nil
	}
	return r.writer.Flush(ctx)
}

// handOver gives the newest report to the store's reporter once this copy may report.
func (r *reporter) handOver() {
	if r.waiting != nil && r.presence.mayReport.Load() {
		r.writer.Set(*r.waiting)
		r.waiting = nil
	}
}

// flushOnce writes the report of a single run, unless another copy runs, whose report then stays.
func (r *reporter) flushOnce(ctx context.Context) {
	if other, _ := r.agent.otherCopy(ctx); other != "" {
		r.agent.Log.Warn("", other+": its report stays, and this run is not reported")
		return
	}
	r.presence.setMayReport(true)
	if err := r.flush(ctx); err != nil {
		r.agent.Log.Warn("", fmt.Sprintf("report: %v", err))
	}
}

// process logs the states of a pass and makes its report.
func (r *reporter) process(p converge.Pass, index uint64) {
	if p.Err != nil {
		return // the last observed report stays; the fault is in the log and the metrics
	}
	report := intent.Report{
		Agent: r.agent.Name, Node: r.agent.Node, Version: Version,
		IntentIndex: index, Converged: p.Converged(), Subjects: map[string]intent.State{}, Reason: r.agent.undeclaredReason(),
	}
	if p.Held != nil {
		report.Held = &intent.Held{Removes: p.Held.Removes, Owned: p.Held.Owned, Why: p.Held.Why}
	}
	for name, o := range p.Outcomes {
		report.Subjects[name] = stateOf(o)
		r.logState(name, o)
	}
	for name := range r.logged {
		if _, still := p.Outcomes[name]; !still {
			delete(r.logged, name)
		}
	}
	r.transitions.record(report.Subjects, time.Now())
	r.waiting = &report
	r.handOver()
}

// logState logs why a subject is not converged, once per reason. States that change by themselves are only in the
// report.
func (r *reporter) logState(name string, o converge.Outcome) {
	text := ""
	if o.Err == nil && !o.Moves && o.Phase != converge.Converged && o.Phase != converge.Working {
		text = o.Reason
	}
	if text != "" && r.logged[name] != text {
		r.agent.Log.Info(name, text)
	}
	r.logged[name] = text
}

func stateOf(o converge.Outcome) intent.State {
	s := intent.State{Want: o.Want, Have: o.Have, Phase: o.Phase, Reason: o.Reason, Attempts: o.Attempts}
	if o.Err != nil {
		s.Error = o.Err.Error()
	}
	if !o.NextTry.IsZero() {
		s.NextTry = o.NextTry.UTC().Truncate(time.Second)
	}
	return s
}
