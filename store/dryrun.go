package store

import (
	"errors"
	"fmt"
	"net/http"
)

// DryError is the error of a write in a store that was opened read-only: nothing was sent.
type DryError struct {
	Changes []Change // what would have been written, all or none
}

// Error reports the number of changes.
func (e *DryError) Error() string {
	return fmt.Sprintf("a dry run writes nothing: %d changes were not sent", len(e.Changes))
}

// rejectDryRun rejects changes if the store was opened read-only.
func (s *Store) rejectDryRun(changes ...Change) error {
	if s.config.Dry {
		return &DryError{changes}
	}
	return nil
}

// errDry rejects any other request that would change the store.
var errDry = errors.New("a dry run changes nothing in the store")

// dryRunTransport rejects every request that can change the store except transactions, some of which only read;
// [Store.Commit] rejects the others.
type dryRunTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r dryRunTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet || request.Method == http.MethodPut && request.URL.Path == "/v1/txn" {
		return r.next.RoundTrip(request)
	}
	return nil, errDry
}
