package store

import (
	"testing"
	"time"
)

// WatchesWait changes how long a watch lets the store wait for news, for as long as the process runs.
func WatchesWait(d time.Duration) { waitTime = d }

// ReportEvery changes the least time between two writes of one report for as long as the test runs.
func ReportEvery(t testing.TB, d time.Duration) {
	before := reportInterval
	reportInterval = d
	t.Cleanup(func() { reportInterval = before })
}
