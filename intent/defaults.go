package intent

import (
	"encoding/json"
	"fmt"
	"time"
)

// Defaults of intent.
const (
	DefaultKeep        = 3
	DefaultStopTimeout = 30 * time.Second
	DefaultInterval    = time.Second
	DefaultTimeout     = 2 * time.Second
	DefaultSuccesses   = 2
	DefaultMinHealthy  = time.Second
	DefaultDeadline    = 2 * time.Minute
)

// Duration is a time span written as in Go: "90s", "2m", "1h30m".
type Duration time.Duration

// UnmarshalText reads a span that is not negative.
func (d *Duration) UnmarshalText(text []byte) error {
	span, err := time.ParseDuration(string(text))
	if err != nil || span < 0 {
		return fmt.Errorf("%q is not a time span such as \"30s\" or \"2m\"", truncate(string(text)))
	}
	*d = Duration(span)
	return nil
}

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// MarshalJSON writes a JSON string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// Or returns the span, or the given default if it is unset.
func (d Duration) Or(otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return time.Duration(d)
}
