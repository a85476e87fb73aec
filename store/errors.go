package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Errors that callers can match. One error may be several: a rejected certificate also makes the store unreachable, and
// a write without a response is both unreachable and unknown.
var (
	ErrDenied      = errors.New("the store refuses: check the token and its policies")
	ErrUnreachable = errors.New("the store is out of reach")
	ErrCertificate = errors.New("a certificate is not accepted: check that neither has expired and that each side knows the other's authority")
	ErrConflict    = errors.New("the store has newer data")
	ErrTooLarge    = errors.New("the store refuses the size")
	// ErrUnknown means that a write may have happened, or may still happen. Only a read can tell, and a retry must be
	// idempotent, as a check-and-set is.
	ErrUnknown = errors.New("whether it was written is not known")
)

// classify wraps an error of the client in the matching one of the above and keeps its text. If the cause may be an old
// token or certificate, it reloads them for the next request.
func (s *Store) classify(verb string, err error) error {
	var status api.StatusError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", verb, err)
	case isDenied(err):
		s.refresh()
		return fmt.Errorf("%s: %w: %w", verb, ErrDenied, err)
	case errors.As(err, &status) && status.Code == http.StatusRequestEntityTooLarge, strings.Contains(err.Error(), "too large"),
		strings.Contains(err.Error(), "too many operations"):
		return fmt.Errorf("%s: %w: %w", verb, ErrTooLarge, err)
	case errors.As(err, &status) && status.Code == http.StatusBadRequest:
		return fmt.Errorf("%s: %w", verb, err)
	case isCertificateError(err):
		s.refresh()
		return fmt.Errorf("%s: %w: %w: %w", verb, ErrUnreachable, ErrCertificate, err)
	}
	return fmt.Errorf("%s: %w: %w", verb, ErrUnreachable, err)
}

// classifyWrite is classify for writes: it adds [ErrUnknown].
func (s *Store) classifyWrite(verb string, err error) error {
	classified := s.classify(verb, err)
	if err == nil || !outcomeUnknown(err) {
		return classified
	}
	return fmt.Errorf("%w (%w)", classified, ErrUnknown)
}

// filteredError is the error of a list from which ACLs removed something.
func (s *Store) filteredError(verb string) error {
	s.refresh()
	return fmt.Errorf("%s: %w: part of the answer was filtered out", verb, ErrDenied)
}

func isDenied(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusForbidden ||
		strings.Contains(err.Error(), "Permission denied") || strings.Contains(err.Error(), "ACL not found")
}

// isCertificateError reports whether one side rejects the other's certificate.
func isCertificateError(err error) bool {
	var theirs *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var alert *net.OpError // the store rejected or requires a client certificate
	return errors.As(err, &theirs) || errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &name) ||
		errors.As(err, &alert) && alert.Op == "remote error" && strings.Contains(alert.Err.Error(), "certificate")
}

// outcomeUnknown reports whether a failed write may have happened. It has not if no connection was made or the store
// rejected the request.
func outcomeUnknown(err error) bool {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" || isCertificateError(err) || isDenied(err) {
		return false
	}
	var status api.StatusError
	if errors.As(err, &status) {
		return status.Code < 400 || status.Code >= 500 && !strings.Contains(status.Body, "No cluster leader")
	}
	return true
}
