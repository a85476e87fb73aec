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

// strict takes nothing for a yes but the store's own. Consul's client holds every answer of status 200 to a write for
// success, be it the welcome page of a proxy that has lost its way, and looks for "true" anywhere in it.
type strict struct{ next http.RoundTripper }

var errNoVerdict = errors.New("its answer is no verdict on a write, so it does not come from Consul's KV")

// RoundTrip implements http.RoundTripper.
func (s strict) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.next.RoundTrip(r)
	if err != nil || r.Method == http.MethodGet {
		return answer, err
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/kv/") && answer.StatusCode == http.StatusOK:
		err = demand(answer, func(begin []byte) bool {
			word := string(bytes.TrimSpace(begin))
			return word == "true" || word == "false"
		})
	case r.URL.Path == "/v1/txn" && (answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusConflict):
		err = demand(answer, func(begin []byte) bool { return begin[0] == '{' && bytes.Contains(begin, []byte(`"Results":`)) })
	case r.URL.Path == "/v1/txn":
		err = refusal(answer) // of which the client would tell the text alone
	}
	if err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	return answer, nil
}

// demand looks at how a body begins and puts it back.
func demand(answer *http.Response, fits func(begin []byte) bool) error {
	const enough = 64 // bytes
	begin, err := io.ReadAll(io.LimitReader(answer.Body, enough))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if len(begin) == 0 || !fits(begin) {
		return errNoVerdict
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), answer.Body), answer.Body}
	return nil
}

func refusal(answer *http.Response) error {
	const enough = 4 << 10 // bytes
	text, err := io.ReadAll(io.LimitReader(answer.Body, enough))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return api.StatusError{Code: answer.StatusCode, Body: string(text)}
}
