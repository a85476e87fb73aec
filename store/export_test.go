package store

import (
	"testing"
	"time"
)

// ReportEvery changes the least time between two writes of one report for as long as the test runs.
func ReportEvery(t testing.TB, d time.Duration) {
	before := reportInterval
	reportInterval = d
	t.Cleanup(func() { reportInterval = before })
}
