package store

import (
	"testing"
	"time"
)

// WatchesWait sets how long a watch blocks, for the life of the process.
func WatchesWait(d time.Duration) { waitTime = d }

// ReportEvery sets the minimum time between two writes of one report, for the duration of the test.
func ReportEvery(t testing.TB, d time.Duration) {
	before := reportInterval
	reportInterval = d
	t.Cleanup(func() { reportInterval = before })
}
