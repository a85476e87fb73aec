package store

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// reportInterval is the least time between two writes of one report.
const reportInterval = time.Second

// reread is how long a reporter trusts that what it wrote still stands there.
const reread = 5 * time.Minute

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
func (r *Reporter) Run(ctx context.Context, failed func(error)) {
	var written stored
	for wait := reportInterval; ; {
		var report intent.Report
		select {
		case report = <-r.newest:
		case <-ctx.Done():
			return
		}
		if time.Since(written.seen) > reread {
			written = stored{} // somebody may have removed it
		}
		now, err := r.write(ctx, report, written)
		if ctx.Err() == nil {
			failed(err)
		}
		if written = now; err != nil {
			select {
			case r.newest <- report: // again, unless a newer one came
			default:
			}
			sleep(ctx, wait)
			wait = min(2*wait, lastWait)
			continue
		}
		wait = reportInterval
		sleep(ctx, wait)
	}
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
