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

// How an upload and a download bear with a bad link.
const (
	linkPatience = time.Minute      // without a byte more than before: give up
	linkStall    = 2 * time.Minute  // without a byte: cut the link and make a new one; a node may hash what it has first
	firstPause   = time.Second / 4  // after a cut, doubling
	mostPause    = 5 * time.Second  // between two tries
	askFrom      = int64(256 << 10) // bytes: of less, nobody asks first how much is there
)

// upload is one blob on its way to a node.
type upload struct {
	door    *door
	content io.ReadSeeker
	digest  string
	size    int64
	most    int64 // bytes that the node said it has
	mended  bool  // it was sent anew because something else was there
}

func hashOf(content io.ReadSeeker) (digest string, size int64, err error) {
	sum := sha256.New()
	if size, err = io.Copy(sum, content); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(sum.Sum(nil)), size, nil
}

// finalError is one that trying again does not mend.
type finalError struct{ error }

func (f finalError) Unwrap() error { return f.error }

// run sends the blob, and the rest of it after each cut, until the node has it, refuses it, or gets no further.
func (u *upload) run(ctx context.Context) (k kept, err error) {
	began, pause := time.Now(), firstPause
	for try := 0; ; try++ {
		before := u.most
		k, err = u.once(ctx, try > 0 || u.size >= askFrom)
		var final finalError
		var refused *refusedTLS
		switch {
		case err == nil:
			return k, nil
		case errors.As(err, &final):
			return k, final.error
		case errors.As(err, &refused), ctx.Err() != nil:
			return k, err
		}
		if u.most > before {
			began, pause = time.Now(), firstPause
		}
		patience := linkPatience
		absent := u.door.absent(err)
		if absent != nil {
			patience, pause = socketWait, firstPause/2
		}
		if time.Since(began) > patience {
			if absent != nil {
				return k, absent
			}
			return k, fmt.Errorf("%w; %d of %d bytes are there, and the same command goes on with the rest", err, u.most, u.size)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return k, ctx.Err()
		}
		pause = min(2*pause, mostPause)
	}
}

// once asks how much is there and sends the rest.
func (u *upload) once(ctx context.Context, ask bool) (k kept, err error) {
	at := int64(0)
	if ask {
		if k, err = u.send(ctx, fmt.Sprintf("bytes */%d", u.size), nil, 0); err != nil || k.SHA256 != "" {
			return k, err
		}
		if at = k.Have; at >= u.size {
			at = 0 // it is something else that somebody began with: all of it comes anew
		}
		u.most = max(u.most, at)
	}
	if _, err := u.content.Seek(at, io.SeekStart); err != nil {
		return k, finalError{err}
	}
	rest := u.size - at
	if k, err = u.send(ctx, fmt.Sprintf("bytes %d-%d/%d", at, u.size-1, u.size), io.LimitReader(u.content, rest), rest); err != nil {
		return k, err
	}
	if k.SHA256 != u.digest || k.Size != u.size {
		return k, finalError{fmt.Errorf("it has kept sha256:%s of %d bytes, which is something else: put it again", k.SHA256, k.Size)}
	}
	return k, nil
}

// send makes one request. It is cut off when nothing can be sent for too long.
func (u *upload) send(ctx context.Context, part string, body io.Reader, length int64) (k kept, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := "/blob/" + u.digest
	if u.size == 0 {
		path = "/blob" // nothing has no parts
	}
	var from io.Reader
	if body != nil {
		stall := time.AfterFunc(linkStall, cancel)
		defer stall.Stop()
		from = &prodded{body, stall}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, u.door.base+path, from)
	if err != nil {
		return k, finalError{err}
	}
	request.ContentLength = length
	request.Header.Set("Content-Range", part)
	response, err := u.door.nodes.client.Do(request)
	if err != nil {
		return k, u.door.nodes.explain(err, u.door.base)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return k, err
	}
	return k, u.judge(response, said, &k)
}

// judge reads what a node answered.
func (u *upload) judge(response *http.Response, said []byte, k *kept) error {
	err := fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(said)))
	switch response.StatusCode {
	case http.StatusOK, http.StatusAccepted:
		if json.Unmarshal(said, k) == nil {
			return nil
		}
		return finalError{err}
	case http.StatusUnprocessableEntity:
		if u.most > 0 && !u.mended { // somebody else may have begun with other bytes: once more from the beginning
			u.mended, u.most = true, 0
			return err
		}
		return finalError{fmt.Errorf("%w: the file changed while it was read: put it again", err)}
	case http.StatusConflict, http.StatusRequestTimeout, http.StatusBadRequest, http.StatusTooManyRequests:
		return err
	}
	if response.StatusCode >= 500 && response.StatusCode != http.StatusInsufficientStorage {
		return err
	}
	return finalError{err}
}

// prodded puts a timer off whenever something is read, and stops it at the end: then the node has its time to answer.
type prodded struct {
	from  io.Reader
	timer *time.Timer
}

// Read implements io.Reader.
func (p *prodded) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.timer.Reset(linkStall)
	if err != nil {
		p.timer.Stop()
	}
	return n, err
}
