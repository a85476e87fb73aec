package store

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Clock returns the store's time, to the second, and the round-trip time, which limits its accuracy.
func (s *Store) Clock(ctx context.Context) (now time.Time, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	c := s.clientConfig()
	s.dialLocalSocket(c)
	if _, err = api.NewClient(c); err != nil { // it completes the transport of c
		return now, 0, fmt.Errorf("ask for the time: %w", err)
	}
	host := c.Address
	if strings.HasPrefix(host, "/") { // a socket path is not a host name
		host = "localhost"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Scheme+"://"+host+"/v1/status/leader", nil)
	if err != nil {
		return now, 0, fmt.Errorf("ask for the time: %w", err)
	}
	started := time.Now()
	response, err := c.HttpClient.Do(request)
	if err != nil {
		return now, 0, s.classify("ask for the time", err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4096))
	took = time.Since(started)
	if now, err = http.ParseTime(response.Header.Get("Date")); err != nil {
		return now, took, fmt.Errorf("read the store's time: %w", err)
	}
	return now, took, nil
}
