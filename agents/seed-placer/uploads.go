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

// partialUploadTTL is how long what was sent of a blob waits for the rest.
const partialUploadTTL = 24 * time.Hour

// uploads are the blobs that come in parts just now.
type uploads struct {
	placer *placer
	mu     sync.Mutex
	active map[string]*upload // by digest
}

// upload is one of them.
type upload struct {
	*stallReader
	done chan struct{}
}

// putPart takes a part of a blob, so that a link that was cut costs no more than what was under way:
//
//	Content-Range: bytes */100       asks how much is here: 202 {"have":40}, or 200 as below
//	Content-Range: bytes 40-99/100   goes on from there: 200 {"sha256":…,"size":…,"node":…} once it is whole and right,
//	                                 409 {"have":…} when something else is here, 422 when it is another blob after all
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

// parseRange reads which part of a blob a request brings; at is -1 when it only asks.
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

// takeOver ends the upload of the same blob that is under way: who sends it again has lost its link, which this side may not
// have noticed yet.
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

// stallReader reads a body for as long as something comes now and then, and nobody stops it.
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

// uploadErrorStatus is the status of an upload that failed.
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
