package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Timing and size limits of uploads and downloads.
const (
	linkTimeout  = time.Minute      // give up after this long without progress
	stallTimeout = 2 * time.Minute  // reconnect after this long without a byte; a node may hash what it has first
	firstPause   = time.Second / 4  // after an interruption; doubles
	maxPause     = 5 * time.Second  // between two attempts
	probeFrom    = int64(256 << 10) // bytes; smaller uploads do not ask first how much the node has
)

// upload is one upload of a blob to a node.
type upload struct {
	target       *blobTarget
	content      io.ReadSeeker
	digest       string
	size         int64
	acknowledged int64 // bytes that the node reported to have
	restarted    bool  // restarted because the node had different bytes
}

func hashOf(content io.ReadSeeker) (digest string, size int64, err error) {
	sum := sha256.New()
	if size, err = io.Copy(sum, content); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(sum.Sum(nil)), size, nil
}

// permanentError is an error that a retry cannot fix.
type permanentError struct{ error }

func (f permanentError) Unwrap() error { return f.error }

// run sends the blob and resumes after each interruption, until the node has it, rejects it, or progress stops.
func (u *upload) run(ctx context.Context) (k blobReply, err error) {
	began, pause := time.Now(), firstPause
	for try := 0; ; try++ {
		before := u.acknowledged
		k, err = u.attempt(ctx, try > 0 || u.size >= probeFrom)
		var final permanentError
		var refused *tlsError
		switch {
		case err == nil:
			return k, nil
		case errors.As(err, &final):
			return k, final.error
		case errors.As(err, &refused), ctx.Err() != nil:
			return k, err
		}
		if u.acknowledged > before {
			began, pause = time.Now(), firstPause
		}
		timeout := linkTimeout
		absent := u.target.notListening(err)
		if absent != nil {
			timeout, pause = socketWait, firstPause/2
		}
		if time.Since(began) > timeout {
			if absent != nil {
				return k, absent
			}
			return k, fmt.Errorf("%w; %d of %d bytes are there, and the same command goes on with the rest", err, u.acknowledged, u.size)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return k, ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
}

// attempt asks how much the node has and sends the rest.
func (u *upload) attempt(ctx context.Context, ask bool) (k blobReply, err error) {
	at := int64(0)
	if ask {
		if k, err = u.send(ctx, fmt.Sprintf("bytes */%d", u.size), nil, 0); err != nil || k.SHA256 != "" {
			return k, err
		}
		if at = k.Have; at >= u.size {
			at = 0 // somebody began with other content: send everything again
		}
		u.acknowledged = max(u.acknowledged, at)
	}
	if _, err := u.content.Seek(at, io.SeekStart); err != nil {
		return k, permanentError{err}
	}
	rest := u.size - at
	if k, err = u.send(ctx, fmt.Sprintf("bytes %d-%d/%d", at, u.size-1, u.size), io.LimitReader(u.content, rest), rest); err != nil {
		return k, err
	}
	if k.SHA256 != u.digest || k.Size != u.size {
		return k, permanentError{fmt.Errorf("it has kept sha256:%s of %d bytes, which is something else: put it again", k.SHA256, k.Size)}
	}
	return k, nil
}

// send makes one request. It is cancelled if nothing can be sent for too long.
func (u *upload) send(ctx context.Context, part string, body io.Reader, length int64) (k blobReply, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := "/blob/" + u.digest
	if u.size == 0 {
		path = "/blob" // an empty blob has no parts
	}
	var from io.Reader
	if body != nil {
		stall := time.AfterFunc(stallTimeout, cancel)
		defer stall.Stop()
		from = &stallReader{body, stall}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, u.target.base+path, from)
	if err != nil {
		return k, permanentError{err}
	}
	request.ContentLength = length
	request.Header.Set("Content-Range", part)
	response, err := u.target.client.client.Do(request)
	if err != nil {
		return k, u.target.client.explainTLS(err, u.target.base)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return k, err
	}
	return k, u.checkReply(response, said, &k)
}

// checkReply interprets the reply of a node.
func (u *upload) checkReply(response *http.Response, body []byte, k *blobReply) error {
	err := fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
	switch response.StatusCode {
	case http.StatusOK, http.StatusAccepted:
		if json.Unmarshal(body, k) == nil {
			return nil
		}
		return permanentError{err}
	case http.StatusUnprocessableEntity:
		if u.acknowledged > 0 && !u.restarted { // somebody else may have begun with other bytes: once more from the beginning
			u.restarted, u.acknowledged = true, 0
			return err
		}
		return permanentError{fmt.Errorf("%w: the file changed while it was read: put it again", err)}
	case http.StatusConflict, http.StatusRequestTimeout, http.StatusBadRequest, http.StatusTooManyRequests:
		return err
	}
	if response.StatusCode >= 500 && response.StatusCode != http.StatusInsufficientStorage {
		return err
	}
	return permanentError{err}
}

// stallReader resets a timer after each read, and stops it at the end: then the node needs time to answer.
type stallReader struct {
	from  io.Reader
	timer *time.Timer
}

// Read implements io.Reader.
func (p *stallReader) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.timer.Reset(stallTimeout)
	if err != nil {
		p.timer.Stop()
	}
	return n, err
}
