package store

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// reportInterval is the least time between two writes of one report.
const reportInterval = time.Second

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

// Run writes until ctx ends. failed hears the outcome of each write.
func (r *Reporter) Run(ctx context.Context, failed func(error)) {
	written, known := intent.Report{}, false
	for {
		var report intent.Report
		select {
		case report = <-r.newest:
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			var err error
			written, known, err = r.write(ctx, report, written, known)
			failed(err)
			if sleep(ctx, reportInterval); err == nil {
				break
			}
			select { // a newer one may have come while the store was down
			case report = <-r.newest:
			default:
			}
		}
	}
}

// Flush writes the newest report now, for an agent that is about to end.
func (r *Reporter) Flush(ctx context.Context) error {
	select {
	case report := <-r.newest:
		_, _, err := r.write(ctx, report, intent.Report{}, false)
		return err
	default:
		return nil
	}
}

// write puts report in place of what was written last, or, when that is not known, of what stands in the store.
func (r *Reporter) write(ctx context.Context, report, written intent.Report, known bool) (intent.Report, bool, error) {
	if !known {
		pair, found, err := r.store.Get(ctx, r.key, Default)
		if err != nil {
			return written, false, err
		}
		known = found && json.Unmarshal(pair.Value, &written) == nil
	}
	report = report.Follow(written, time.Now().UTC().Truncate(time.Millisecond))
	if known && reflect.DeepEqual(report, written) {
		return written, true, nil
	}
	value, err := json.Marshal(report)
	if err == nil {
		err = r.store.Put(ctx, r.key, value)
	}
	if err != nil {
		return written, known, err
	}
	err = json.Unmarshal(value, &report) // in the form that a later comparison will meet
	return report, true, err
}
