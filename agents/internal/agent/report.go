package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// reporting turns passes into reports and into the log lines that tell of states.
type reporting struct {
	agent    *Agent
	reporter *store.Reporter
	index    uint64            // of the intent of the pass under way
	newest   chan told         // a pass that was not told of yet
	said     map[string]string // what was logged last of each subject
	past     *history
	fault    string
	presence *presence
	waiting  *intent.Report // until it may be written
}

// told is a pass and the index of the intent that it is about.
type told struct {
	converge.Pass
	index uint64
}

// settle is how long a pass waits before it is told of: most changes are over by then and take one report in place of
// two, and while they go on, neither the disk nor the store is kept busy.
const settle = 50 * time.Millisecond

func newReporting(a *Agent) *reporting {
	r := &reporting{agent: a, newest: make(chan told, 1), said: map[string]string{}, past: newHistory(a), presence: newPresence()}
	r.reporter = a.Store.NewReporter(a.Tree.Status(intent.Name(a.Name), a.Node))
	return r
}

// reportOf notes the index of the very intent that each pass is about: a report must not claim to be of newer intent
// that merely arrived meanwhile. It happens on the goroutine that makes the passes.
func reportOf[D, A any, S converge.Step](r *reporting, source Source[D], loop *converge.Loop[D, A, S]) {
	states := loop.States
	loop.States = func(desired D, actual A) map[string]converge.State {
		r.index = source.Index(desired)
		return states(desired, actual)
	}
}

// run writes reports until ctx ends. One that cannot be written is said once.
func (r *reporting) run(ctx context.Context) {
	r.reporter.Run(ctx, func(err error) {
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

// later tells of a pass soon, unless there is a newer one by then. One goroutine calls it.
func (r *reporting) later(p converge.Pass) {
	if p.Err != nil {
		return
	}
	select {
	case <-r.newest:
	default:
	}
	r.newest <- told{p, r.index}
}

// tell tells of passes until ctx ends.
func (r *reporting) tell(ctx context.Context) {
	for {
		select {
		case t := <-r.newest:
			select {
			case <-time.After(settle):
			case <-ctx.Done():
			}
			select {
			case t = <-r.newest:
			default:
			}
			r.pass(t.Pass, t.index)
		case <-r.presence.changed:
			r.handOver()
		case <-ctx.Done():
			return
		}
	}
}

// last tells of what is left once tell has returned, and writes the report.
func (r *reporting) last(ctx context.Context) error {
	select {
	case t := <-r.newest:
		r.pass(t.Pass, t.index)
	default:
	}
	r.handOver()
	if !r.presence.mayReport.Load() {
		return nil
	}
	return r.reporter.Flush(ctx)
}

// handOver gives the newest report to the reporter, as soon as this copy is the one that may write it.
func (r *reporting) handOver() {
	if r.waiting != nil && r.presence.mayReport.Load() {
		r.reporter.Set(*r.waiting)
		r.waiting = nil
	}
}

// flushOnce writes the report of a single run, unless another copy runs: what that one reports stays.
func (r *reporting) flushOnce(ctx context.Context) {
	if other, _ := r.agent.otherCopy(ctx); other != "" {
		r.agent.Log.Warn("", other+": its report stays, and this run is not reported")
		return
	}
	r.presence.set(true)
	if err := r.last(ctx); err != nil {
		r.agent.Log.Warn("", fmt.Sprintf("report: %v", err))
	}
}

// pass tells of one.
func (r *reporting) pass(p converge.Pass, index uint64) {
	if p.Err != nil {
		return // the last report still says what was observed last; the fault is in the log and in the metrics
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
		r.say(name, o)
	}
	for name := range r.said {
		if _, still := p.Outcomes[name]; !still {
			delete(r.said, name)
		}
	}
	r.past.follow(report.Subjects, time.Now())
	r.waiting = &report
	r.handOver()
}

// say logs where a subject stands when a person would want to know and was not told yet. What moves by itself is for
// the report alone.
func (r *reporting) say(name string, o converge.Outcome) {
	text := ""
	if o.Err == nil && !o.Moves && o.Phase != converge.Converged && o.Phase != converge.Working {
		text = o.Reason
	}
	if text != "" && r.said[name] != text {
		r.agent.Log.Info(name, text)
	}
	r.said[name] = text
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
