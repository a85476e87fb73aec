package fetch

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
)

// Reason is why something could not be fetched, as one word for reports.
type Reason string

// The reasons. Those that another try may cure are told by [Error.Retryable].
const (
	BadAddress  Reason = "bad_address"  // nothing that can be fetched from
	NotFound    Reason = "not_found"    // there is no such file: 404, 410
	NoRepo      Reason = "no_repo"      // the local directory that holds all files is not there
	Refused     Reason = "refused"      // we may not have it: 401, 403, other 4xx
	Unreachable Reason = "unreachable"  // no connection, a cut one, 408, 429, 5xx
	Stalled     Reason = "stalled"      // too slow, or silent
	BadRedirect Reason = "bad_redirect" // too many, in a circle, or from https to http
	Untrusted   Reason = "untrusted"    // TLS: the certificate is expired, of an unknown authority, or of another host
	BadResponse Reason = "bad_response" // the server breaks the rules of HTTP
	TooBig      Reason = "too_big"      // more bytes than allowed
	NotRegular  Reason = "not_regular"  // a directory, pipe, device, or a link that is not followed
	Disk        Reason = "disk"         // the partial file cannot be written; Err says why
)

// Error is a failed fetch.
type Error struct {
	URL    string // without user, password, query and fragment
	Reason Reason
	Status int   // of the HTTP response, 0 when there was none or it was not the fault
	Err    error // the cause, when there is one
}

// Error says what could not be fetched and why, in one line without secrets, and each thing once: neither the address
// nor the reason is repeated by the cause.
func (e *Error) Error() string {
	return fmt.Sprintf("fetch %s: %s", e.URL, e.Cause())
}

// Cause says why without the address.
func (e *Error) Cause() string {
	var path *fs.PathError
	switch {
	case e.Status != 0:
		return fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status))
	case errors.As(e.Err, &path):
		return path.Err.Error()
	case e.Err != nil:
		return e.Err.Error()
	}
	return strings.ReplaceAll(string(e.Reason), "_", " ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retryable reports whether the same request may succeed later without anybody changing anything.
func (e *Error) Retryable() bool {
	return e.Reason == Unreachable || e.Reason == Stalled || e.Reason == BadResponse
}

// ReasonOf returns the reason in err, or "" when err is no *Error.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// reasonOfStatus judges a response that brings no content.
func reasonOfStatus(status int) Reason {
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return NotFound
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return Unreachable
	case status >= 400:
		return Refused
	default:
		return BadResponse
	}
}

// isUntrusted tells a server that shows a certificate which does not count from one that cannot be reached.
func isUntrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

// withoutURL takes the address out of net/http's errors, which spell it with its query.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if strings.Contains(err.Error(), "Location header") {
		return errLocation
	}
	return err
}
