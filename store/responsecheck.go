package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
)

// responseChecker rejects write responses that do not come from Consul. Consul's client treats every 200 response to a
// write as success if it contains "true" anywhere, even a proxy's welcome page.
type responseChecker struct{ next http.RoundTripper }

var errUnexpectedBody = errors.New("its answer is no verdict on a write, so it does not come from Consul's KV")

// RoundTrip implements http.RoundTripper.
func (s responseChecker) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.next.RoundTrip(r)
	if err != nil || r.Method == http.MethodGet {
		return answer, err
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/kv/") && answer.StatusCode == http.StatusOK:
		err = checkBodyStart(answer, func(begin []byte) bool {
			word := string(bytes.TrimSpace(begin))
			return word == "true" || word == "false"
		})
	case r.URL.Path == "/v1/txn" && (answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusConflict):
		err = checkBodyStart(answer, func(begin []byte) bool { return begin[0] == '{' && bytes.Contains(begin, []byte(`"Results":`)) })
	case r.URL.Path == "/v1/txn":
		err = readStatusError(answer) // the client would report its text without the status
	}
	if err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	return answer, nil
}

// checkBodyStart checks the start of a body and puts it back.
func checkBodyStart(answer *http.Response, fits func(start []byte) bool) error {
	const limit = 64 // bytes
	start, err := io.ReadAll(io.LimitReader(answer.Body, limit))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if len(start) == 0 || !fits(start) {
		return errUnexpectedBody
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), answer.Body), answer.Body}
	return nil
}

func readStatusError(answer *http.Response) error {
	const limit = 4 << 10 // bytes
	text, err := io.ReadAll(io.LimitReader(answer.Body, limit))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return api.StatusError{Code: answer.StatusCode, Body: string(text)}
}
