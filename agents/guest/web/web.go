// Package web makes an http.Handler a warm seed, and an http.Client out of what a seed may fetch.
//
//	//go:wasmexport http
//	func answer() int32 { return web.Serve(http.HandlerFunc(hello)) }
//
//	func main() {}
package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/platypus-platform/platypus/agents/guest"
)

// Serve answers the request that this call was given, which is in the form that HTTP has on the wire. Its result is that
// of the exported function.
func Serve(handler http.Handler) int32 {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(guest.Input())))
	if err != nil {
		guest.Output([]byte("read request: " + err.Error()))
		return 1
	}
	request.RemoteAddr, request.RequestURI = request.Header.Get("X-Forwarded-For"), request.URL.RequestURI()
	ctx := request.Context()
	if left := guest.Remaining(); left > 0 {
		bounded, cancel := context.WithTimeout(ctx, left)
		defer cancel()
		ctx = bounded
	}
	w := &response{header: http.Header{}}
	handler.ServeHTTP(w, request.WithContext(ctx))
	w.send()
	return 0
}

// response collects an answer.
type response struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body, p...)
	return len(p), nil
}

func (w *response) send() {
	w.WriteHeader(http.StatusOK)
	if w.header["Content-Type"] == nil && len(w.body) > 0 {
		w.header.Set("Content-Type", http.DetectContentType(w.body))
	}
	w.header.Set("Content-Length", strconv.Itoa(len(w.body)))
	head := bytes.NewBuffer(make([]byte, 0, 256))
	fmt.Fprintf(head, "HTTP/1.1 %d %s\r\n", w.status, http.StatusText(w.status))
	_ = w.header.Write(head)
	head.WriteString("\r\n")
	guest.Output(head.Bytes(), w.body)
}

// Transport fetches from what the seed's "egress" grants. The zero value is ready to use.
type Transport struct{}

// RoundTrip implements http.RoundTripper.
func (Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	var wire bytes.Buffer
	if err := request.WriteProxy(&wire); err != nil {
		return nil, err
	}
	var timeout time.Duration
	if deadline, ok := request.Context().Deadline(); ok {
		timeout = max(time.Millisecond, time.Until(deadline))
	}
	answer, err := guest.Fetch(wire.Bytes(), timeout)
	if err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), request)
	if err != nil {
		return nil, fmt.Errorf("read response of %s: %w", request.URL, err)
	}
	return response, nil
}

// Client is an http.Client that can reach what the seed's "egress" grants.
func Client() *http.Client { return &http.Client{Transport: Transport{}} }
