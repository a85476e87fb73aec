package store

import (
	"errors"
	"fmt"
	"net/http"
)

// DryError is what a write is met with in a store that was opened dry: nothing was sent, and nothing will be.
type DryError struct {
	Changes []Change // what would have been written, all of it or none
}

// Error names how many changes there are.
func (e *DryError) Error() string {
	return fmt.Sprintf("a dry run writes nothing: %d changes were not sent", len(e.Changes))
}

// dry refuses changes in a store that was opened dry.
func (s *Store) dry(changes ...Change) error {
	if s.config.Dry {
		return &DryError{changes}
	}
	return nil
}

// errDry is what the wire says to any other request that would change something.
var errDry = errors.New("a dry run changes nothing in the store")

// reader lets nothing through that could change a store but transactions, some of which read: [Store.Commit] answers for
// the others.
type reader struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r reader) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet || request.Method == http.MethodPut && request.URL.Path == "/v1/txn" {
		return r.next.RoundTrip(request)
	}
	return nil, errDry
}
