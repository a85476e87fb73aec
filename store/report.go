package store

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// reportInterval is the minimum time between two writes of a report without an urgent change. Tests set it.
var reportInterval = time.Second

// recheckInterval is how long a reporter assumes that its last write is still in the store. It is less than the 30 s
// after which an agent reports again.
const recheckInterval = 25 * time.Second

// Reporter writes the newest report of an agent to the store if it differs from the stored one.
type Reporter struct {
	store  *Store
	key    string
	newest chan intent.Report
}

// NewReporter returns a reporter for one key; [Reporter.Run] does the writes.
func (s *Store) NewReporter(key string) *Reporter {
	return &Reporter{store: s, key: key, newest: make(chan intent.Report, 1)}
}

// Set queues a report in place of an older queued one, and returns at once. Only one goroutine may call it.
func (r *Reporter) Set(report intent.Report) {
	select {
	case <-r.newest:
	default:
	}
	r.newest <- report
}

// Run writes until ctx ends. failed receives the result of each write, nil for success. A report that could not be
// written is left to Flush.
//
// A report without an urgent change waits until reportInterval has passed since the last write; one with an urgent
// change is written at once, up to reportBurst times in a row.
func (r *Reporter) Run(ctx context.Context, failed func(error)) {
	var written lastWritten
	burstTokens, wait, pause := float64(reportBurst), reportInterval, time.Duration(0)
	for last := time.Now(); ; last = time.Now() {
		report, early, ok := r.next(ctx, written, pause, burstTokens >= 1)
		if !ok {
			return
		}
		if burstTokens = min(reportBurst, burstTokens+float64(time.Since(last))/float64(reportInterval)); early {
			burstTokens--
		}
		if time.Since(written.seen) > recheckInterval {
			written = lastWritten{} // it may have been removed
		}
		now, err := r.write(ctx, report, written)
		if ctx.Err() == nil {
			failed(err)
		}
		if written, pause = now, reportInterval; err == nil {
			wait = reportInterval
			continue
		}
		r.putBack(report) // retry it, unless a newer one came
		burstTokens, pause = 0, wait
		wait = min(2*wait, maxBackoff)
	}
}

// reportBurst is how many urgent reports can be written in a row.
const reportBurst = 5

// next waits for a report to write: any report once pause is over and, if allowEarly, an urgent one before that. ok is
// false when ctx ended; an unwritten report is left to Flush.
func (r *Reporter) next(ctx context.Context, written lastWritten, pause time.Duration, allowEarly bool) (report intent.Report, early, ok bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	due, have := false, false
	for !have || !due && !(allowEarly && isUrgent(report, written.report)) {
		select {
		case report = <-r.newest:
			have = true
		case <-timer.C:
			due = true
		case <-ctx.Done():
			if have {
				r.putBack(report)
			}
			return report, false, false
		}
	}
	return report, !due, true
}

// putBack queues a report again, unless a newer one is queued.
func (r *Reporter) putBack(report intent.Report) {
	select {
	case r.newest <- report:
	default:
	}
}

// isUrgent reports whether a report has another phase, subject or converged state than the previous one.
func isUrgent(now, before intent.Report) bool {
	if now.Converged != before.Converged || (now.Held == nil) != (before.Held == nil) || len(now.Subjects) != len(before.Subjects) {
		return true
	}
	for name, s := range now.Subjects {
		if b, known := before.Subjects[name]; !known || b.Phase != s.Phase {
			return true
		}
	}
	return false
}

// Flush writes the queued report now, for an agent that is about to exit. [Reporter.Run] must have returned.
func (r *Reporter) Flush(ctx context.Context) error {
	select {
	case report := <-r.newest:
		_, err := r.write(ctx, report, lastWritten{})
		return err
	default:
		return nil
	}
}

// lastWritten is the report in the store, as far as the reporter knows.
type lastWritten struct {
	report intent.Report
	known  bool
	seen   time.Time // when it was last read or written
}

// write replaces the stored report, which it reads first if it is unknown.
func (r *Reporter) write(ctx context.Context, report intent.Report, before lastWritten) (lastWritten, error) {
	if !before.known {
		pair, found, err := r.store.Get(ctx, r.key, Default)
		if err != nil {
			return before, err
		}
		before.seen = time.Now()
		before.known = found && json.Unmarshal(pair.Value, &before.report) == nil
	}
	report = report.Follow(before.report, time.Now().UTC().Truncate(time.Millisecond))
	value, err := json.Marshal(report)
	if err != nil {
		return before, err
	}
	if before.known {
		if same, err := json.Marshal(before.report); err == nil && bytes.Equal(value, same) {
			return before, nil
		}
	}
	if err = r.store.Put(ctx, r.key, value); err != nil {
		return before, err
	}
	return lastWritten{report, true, time.Now()}, nil
}
