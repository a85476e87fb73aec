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

// The errors that callers tell apart. One error may be of several kinds: a certificate that is not accepted also puts
// the store out of reach, and a write whose answer did not arrive is both out of reach and unknown.
var (
	ErrDenied      = errors.New("the store refuses: check the token and its policies")
	ErrUnreachable = errors.New("the store is out of reach")
	ErrCertificate = errors.New("a certificate is not accepted: check that neither has expired and that each side knows the other's authority")
	ErrConflict    = errors.New("the store has newer data")
	ErrTooLarge    = errors.New("the store refuses the size")
	// ErrUnknown says that a write may have happened, may not have, and may yet. Only a read tells, and a write that is
	// repeated must bear having happened twice; a check-and-set does.
	ErrUnknown = errors.New("whether it was written is not known")
)

// explain puts an error of the client into one of the kinds above, keeping its text. When it may come from an old token
// or certificate, newer ones are taken up for the next request.
func (s *Store) explain(verb string, err error) error {
	var status api.StatusError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", verb, err)
	case denied(err):
		s.refresh()
		return fmt.Errorf("%s: %w: %w", verb, ErrDenied, err)
	case errors.As(err, &status) && status.Code == http.StatusRequestEntityTooLarge, strings.Contains(err.Error(), "too large"),
		strings.Contains(err.Error(), "too many operations"):
		return fmt.Errorf("%s: %w: %w", verb, ErrTooLarge, err)
	case errors.As(err, &status) && status.Code == http.StatusBadRequest:
		return fmt.Errorf("%s: %w", verb, err)
	case distrusted(err):
		s.refresh()
		return fmt.Errorf("%s: %w: %w: %w", verb, ErrUnreachable, ErrCertificate, err)
	}
	return fmt.Errorf("%s: %w: %w", verb, ErrUnreachable, err)
}

// explainWrite is explain for what changes the store.
func (s *Store) explainWrite(verb string, err error) error {
	explained := s.explain(verb, err)
	if err == nil || !undecided(err) {
		return explained
	}
	return fmt.Errorf("%w (%w)", explained, ErrUnknown)
}

// filtered is the error of a list that access rules left something out of.
func (s *Store) filtered(verb string) error {
	s.refresh()
	return fmt.Errorf("%s: %w: part of the answer was filtered out", verb, ErrDenied)
}

func denied(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == http.StatusForbidden ||
		strings.Contains(err.Error(), "Permission denied") || strings.Contains(err.Error(), "ACL not found")
}

// distrusted reports whether one side does not accept the other's certificate.
func distrusted(err error) bool {
	var theirs *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var alert *net.OpError // what the store says of the certificate of this side, or that it wants one
	return errors.As(err, &theirs) || errors.As(err, &unknown) || errors.As(err, &invalid) || errors.As(err, &name) ||
		errors.As(err, &alert) && alert.Op == "remote error" && strings.Contains(alert.Err.Error(), "certificate")
}

// undecided reports whether a write that failed so may have happened all the same. It has not when nobody was reached,
// or when the store said no before it tried.
func undecided(err error) bool {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" || distrusted(err) || denied(err) {
		return false
	}
	var status api.StatusError
	if errors.As(err, &status) {
		return status.Code < 400 || status.Code >= 500 && !strings.Contains(status.Body, "No cluster leader")
	}
	return true
}
