package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/blob"
)

// partialUploadTTL is how long an incomplete upload is kept.
const partialUploadTTL = 24 * time.Hour

// uploads tracks the partial uploads in progress.
type uploads struct {
	placer *placer
	mu     sync.Mutex
	active map[string]*upload // by digest
}

// upload is one request in progress.
type upload struct {
	*stallReader
	done chan struct{}
}

// putPart stores a part of a blob, so that a broken connection costs only the data in flight:
//
//	Content-Range: bytes */100       asks for the stored length: 202 {"have":40}, or 200 as below
//	Content-Range: bytes 40-99/100   continues there: 200 {"sha256":…,"size":…,"node":…} once verified,
//	                                 409 {"have":…} at a wrong offset, 422 if the digest does not match
func (u *uploads) putPart(w http.ResponseWriter, r *http.Request) {
	digest, p := strings.TrimPrefix(r.PathValue("digest"), "sha256:"), u.placer
	at, total, err := parseRange(r)
	if err == nil && !blob.Valid(digest) {
		err = fmt.Errorf("%q is not 64 hexadecimal digits", digest)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := newStallReader(w, r)
	defer u.takeOver(digest, body)()
	switch {
	case p.blobs.Has(digest) && p.blobs.Touch(digest) == nil:
		p.answerStored(w, digest, p.blobs.Size(digest))
		return
	case at < 0:
		answerJSON(w, http.StatusAccepted, map[string]any{"have": p.blobs.Have(digest)})
		return
	}
	switch err := p.blobs.Append(digest, at, total, body); {
	case errors.Is(err, blob.ErrOffset):
		answerJSON(w, http.StatusConflict, map[string]any{"have": p.blobs.Have(digest), "error": err.Error()})
	case err != nil:
		http.Error(w, err.Error(), uploadErrorStatus(err))
	default:
		p.answerStored(w, digest, total)
	}
}

// parseRange parses Content-Range; at is -1 for a query.
func parseRange(r *http.Request) (at, total int64, err error) {
	text := r.Header.Get("Content-Range")
	if n, _ := fmt.Sscanf(text, "bytes */%d", &total); n == 1 && total >= 0 && total <= maxBlob {
		return -1, total, nil
	}
	var last int64
	n, _ := fmt.Sscanf(text, "bytes %d-%d/%d", &at, &last, &total)
	if n != 3 || at < 0 || last < at || last != total-1 || total > maxBlob {
		return 0, 0, fmt.Errorf("Content-Range %q is not bytes */TOTAL or bytes FIRST-LAST/TOTAL with LAST the end, of at most %d bytes", text, int64(maxBlob))
	}
	return at, total, nil
}

// takeOver ends a previous upload of the same blob: a client that sends it again has lost its connection, which this
// side may not have noticed yet.
func (u *uploads) takeOver(digest string, body *stallReader) (end func()) {
	current := &upload{body, make(chan struct{})}
	for {
		u.mu.Lock()
		previous := u.active[digest]
		if previous == nil {
			u.active[digest] = current
			u.mu.Unlock()
			return func() {
				u.mu.Lock()
				delete(u.active, digest)
				u.mu.Unlock()
				close(current.done)
			}
		}
		u.mu.Unlock()
		previous.stop()
		<-previous.done
	}
}

// stallReader reads a body with a deadline that each read extends, until it is stopped.
type stallReader struct {
	io.ReadCloser
	controller *http.ResponseController
	stopped    atomic.Bool
}

func newStallReader(w http.ResponseWriter, r *http.Request) *stallReader {
	return &stallReader{ReadCloser: r.Body, controller: http.NewResponseController(w)}
}

// Read implements io.Reader.
func (a *stallReader) Read(p []byte) (int, error) {
	_ = a.controller.SetReadDeadline(time.Now().Add(stallTimeout))
	if a.stopped.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	return a.ReadCloser.Read(p)
}

func (a *stallReader) stop() {
	a.stopped.Store(true)
	_ = a.controller.SetReadDeadline(time.Unix(1, 0))
}

// uploadErrorStatus maps an upload error to an HTTP status.
func uploadErrorStatus(err error) int {
	switch {
	case errors.Is(err, blob.ErrDigest):
		return http.StatusUnprocessableEntity
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return http.StatusInsufficientStorage
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}
