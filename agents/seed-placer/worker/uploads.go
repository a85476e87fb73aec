package worker

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
)

// upload forwards an upload to the agent's socket. A client certificate is required.
func (w *Worker) upload(rw http.ResponseWriter, r *http.Request) {
	now := w.listeners.tls.Load()
	if r.TLS == nil || now.identity == nil || now.uploadSocket == "" {
		http.Error(rw, "403 blobs are put at the socket of this node (platypus blob put), or with a certificate at its address for those "+
			"(platypus blob put --to https://… --tls-cert … --tls-key … --tls-ca …)", http.StatusForbidden)
		return
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true, WriteBufferSize: 64 << 10, ExpectContinueTimeout: time.Second,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", now.uploadSocket)
		}}
	proxy := &httputil.ReverseProxy{
		Transport: transport, ErrorLog: w.log.stdLogger(),
		Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "node", "node" },
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, err error) {
			rw.Header().Set("Retry-After", "1")
			http.Error(rw, "503 the blob was not taken: "+err.Error(), http.StatusServiceUnavailable)
		},
	}
	proxy.ServeHTTP(rw, r)
}

// isUpload reports whether a request uploads a blob.
func isUpload(r *http.Request) bool {
	return r.Method == http.MethodPut && (r.URL.Path == "/blob" || strings.HasPrefix(r.URL.Path, "/blob/"))
}
