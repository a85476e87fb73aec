package store

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// reportInterval is the least time between two writes of one report that say the same of how things stand. Tests set it.
var reportInterval = time.Second

// reread is how long a reporter trusts that what it wrote still stands there: an agent hands over a report at least
// every 30 s, less a tenth.
const reread = 25 * time.Second

// Reporter writes the newest report of an agent to the store when it differs from what stands there.
type Reporter struct {
	store  *Store
	key    string
	newest chan intent.Report
}

// NewReporter returns a reporter for one key; [Reporter.Run] does the writing.
func (s *Store) NewReporter(key string) *Reporter {
	return &Reporter{store: s, key: key, newest: make(chan intent.Report, 1)}
}

// Set hands over a report and returns at once. One goroutine may call it.
func (r *Reporter) Set(report intent.Report) {
	select {
	case <-r.newest:
	default:
	}
	r.newest <- report
}

// Run writes until ctx ends. failed hears the outcome of each write. What could not be written is left to Flush.
//
// A report that says nothing new of how things stand waits until the last write is an interval old; one by which a
// subject comes, goes or enters another phase is written at once, a few times in a row.
func (r *Reporter) Run(ctx context.Context, failed func(error)) {
	var written stored
	credit, wait, pause := float64(reportBurst), reportInterval, time.Duration(0)
	for last := time.Now(); ; last = time.Now() {
		report, early, ok := r.next(ctx, written, pause, credit >= 1)
		if !ok {
			return
		}
		if credit = min(reportBurst, credit+float64(time.Since(last))/float64(reportInterval)); early {
			credit--
		}
		if time.Since(written.seen) > reread {
			written = stored{} // somebody may have removed it
		}
		now, err := r.write(ctx, report, written)
		if ctx.Err() == nil {
			failed(err)
		}
		if written, pause = now, reportInterval; err == nil {
			wait = reportInterval
			continue
		}
		r.back(report) // again, unless a newer one came
		credit, pause = 0, wait
		wait = min(2*wait, lastWait)
	}
}

// reportBurst is how many reports may be written in a row before their interval is over.
const reportBurst = 5

// next waits for a report that may be written: any once pause is over, and before that, where hurry allows, one that says
// other things than the one that was written. ok is false when ctx ended; what came before that is left to Flush.
func (r *Reporter) next(ctx context.Context, written stored, pause time.Duration, hurry bool) (report intent.Report, early, ok bool) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	due, have := false, false
	for !have || !due && !(hurry && news(report, written.report)) {
		select {
		case report = <-r.newest:
			have = true
		case <-timer.C:
			due = true
		case <-ctx.Done():
			if have {
				r.back(report)
			}
			return report, false, false
		}
	}
	return report, !due, true
}

// back puts a report back, unless a newer one is there.
func (r *Reporter) back(report intent.Report) {
	select {
	case r.newest <- report:
	default:
	}
}

// news reports whether somebody who waits for something would want to read the report at once.
func news(now, before intent.Report) bool {
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

// Flush writes the newest report now, for an agent that is about to end. [Reporter.Run] must have returned.
func (r *Reporter) Flush(ctx context.Context) error {
	select {
	case report := <-r.newest:
		_, err := r.write(ctx, report, stored{})
		return err
	default:
		return nil
	}
}

// stored is the report that stands in the store, as far as the reporter knows.
type stored struct {
	report intent.Report
	known  bool
	seen   time.Time // when it was read or written
}

// write puts report in place of what stands in the store, which is read when it is not known.
func (r *Reporter) write(ctx context.Context, report intent.Report, before stored) (stored, error) {
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
	return stored{report, true, time.Now()}, nil
}
