package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// transfer is one fetch over HTTP, in as many requests as it takes.
type transfer struct {
	Request
	url       *url.URL
	client    *http.Client
	mostBytes int64 // most bytes held at any time: only more than that is progress
	rate      rate
}

func newTransfer(req Request, u *url.URL) *transfer {
	client := &http.Client{CheckRedirect: redirect}
	if req.Client != nil {
		client.Transport, client.Jar = req.Client.Transport, req.Client.Jar
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DisableCompression = true
		t.DisableKeepAlives = true
		client.Transport = t
	}
	return &transfer{Request: req, url: u, client: client}
}

// run asks again for as long as every answer brings a part not held before. What brings nothing new ends the attempt;
// when to start another one is the caller's business.
func (t *transfer) run(ctx context.Context) (*File, error) {
	p, err := openPartial(t.Partial, t.URL)
	if err != nil {
		return nil, t.fail(Disk, err)
	}
	t.mostBytes = p.size
	for {
		whole, err := t.attempt(ctx, p)
		if whole {
			f, err := p.done()
			if err != nil {
				p.file.Close()
				return nil, t.fail(Disk, err)
			}
			return f, nil
		}
		var e *Error
		again := err == nil || errors.As(err, &e) && e.Reason == Unreachable && p.size > t.mostBytes
		t.mostBytes = max(t.mostBytes, p.size)
		if !again {
			p.file.Close()
			return nil, err
		}
	}
}

// attempt makes one request. Neither whole nor an error means: ask again, differently.
func (t *transfer) attempt(ctx context.Context, p *partial) (whole bool, err error) {
	ctx, timer := t.rate.watch(ctx, t.Request)
	defer timer.stop()
	resp, err := t.send(ctx, http.MethodGet, p)
	if err != nil {
		return false, t.classify(ctx, err)
	}
	defer resp.Body.Close()
	rest, err := t.accept(resp, p)
	if err != nil || rest == retry {
		return false, err
	}
	if rest == complete {
		return true, nil
	}
	return t.copy(ctx, timer, resp, p)
}

func (t *transfer) send(ctx context.Context, method string, p *partial) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, t.url.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept-Encoding", "identity")
	if p != nil && p.size > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.size))
		r.Header.Set("If-Range", p.state.validator())
	}
	return t.client.Do(r)
}

// disposition says what a response brings.
type disposition int

const (
	complete   disposition = iota // we hold all of it already
	appendBody                    // its body is to be appended
	retry                         // nothing of use: ask once more
)

// accept judges a response and makes the partial file ready for its body.
func (t *transfer) accept(resp *http.Response, p *partial) (disposition, error) {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return retry, t.fail(BadResponse, fmt.Errorf("content is encoded as %.20q although we asked for it as it is", enc))
	}
	switch resp.StatusCode {
	case http.StatusOK:
		if p.size > 0 {
			if err := p.restart(); err != nil {
				return retry, t.fail(Disk, err)
			}
		}
		return t.start(resp, p, resp.ContentLength)
	case http.StatusPartialContent:
		return t.resume(resp, p)
	case http.StatusRequestedRangeNotSatisfiable:
		if p.size == 0 {
			return retry, t.status(BadResponse, resp)
		}
		if p.state.Total == p.size {
			return complete, nil
		}
		if err := p.restart(); err != nil {
			return retry, t.fail(Disk, err)
		}
		return retry, nil
	default:
		return retry, t.status(reasonOfStatus(resp.StatusCode), resp)
	}
}

// start notes what the server calls the content it is about to send from the start.
func (t *transfer) start(resp *http.Response, p *partial, total int64) (disposition, error) {
	if total > t.MaxBytes {
		return retry, t.fail(TooBig, fmt.Errorf("%d bytes, limit %d", total, t.MaxBytes))
	}
	next := partialState{Address: p.state.Address, ETag: strongETag(resp), Modified: resp.Header.Get("Last-Modified"), Total: total}
	if err := p.setState(next); err != nil {
		return retry, t.fail(Disk, err)
	}
	return appendBody, nil
}

// resume takes a 206 only if it continues exactly what is held; anything else makes it start over.
func (t *transfer) resume(resp *http.Response, p *partial) (disposition, error) {
	from, total, err := contentRange(resp.Header.Get("Content-Range"))
	switch {
	case err != nil:
	case p.size == 0:
		err = errors.New("part of the content although we asked for all of it")
	case from != p.size:
		err = fmt.Errorf("part from byte %d although we asked from %d", from, p.size)
	case total >= 0 && p.state.Total >= 0 && total != p.state.Total:
		err = fmt.Errorf("content of %d bytes has become %d", p.state.Total, total)
	case p.state.ETag != "" && strongETag(resp) != "" && strongETag(resp) != p.state.ETag:
		err = errors.New("another ETag than the one we asked for")
	}
	if err == nil {
		return appendBody, nil
	}
	if rerr := p.restart(); rerr != nil {
		return retry, t.fail(Disk, rerr)
	}
	return retry, t.fail(BadResponse, err)
}

// copy appends the body. A body that ends early is a cut connection, and worth another request.
func (t *transfer) copy(ctx context.Context, timer *stallTimer, resp *http.Response, p *partial) (bool, error) {
	buf := make([]byte, bufferSize)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, werr := p.Write(buf[:n]); werr != nil {
				return false, t.fail(Disk, werr)
			}
			if p.size > t.MaxBytes {
				rerr := p.restart()
				return false, t.fail(TooBig, errors.Join(fmt.Errorf("more than %d bytes", t.MaxBytes), rerr))
			}
			timer.add(n)
			t.Progress(p.size, p.state.Total)
		}
		switch {
		case err == io.EOF && (p.state.Total < 0 || p.size == p.state.Total):
			return true, nil
		case err == io.EOF:
			return false, t.fail(Unreachable, fmt.Errorf("ended after %d of %d bytes", p.size, p.state.Total))
		case err != nil:
			err = t.classify(ctx, err)
			return false, t.dropUnlessResumable(p, err)
		}
	}
}

// dropUnlessResumable drops a part that could never be resumed.
func (t *transfer) dropUnlessResumable(p *partial, err error) error {
	if p.state.validator() != "" {
		return err
	}
	t.mostBytes = max(t.mostBytes, p.size)
	if rerr := p.restart(); rerr != nil {
		return t.fail(Disk, rerr)
	}
	return err
}

// small reads a short body into memory.
func (t *transfer) small(ctx context.Context) ([]byte, error) {
	ctx, timer := t.rate.watch(ctx, t.Request)
	defer timer.stop()
	resp, err := t.send(ctx, http.MethodGet, nil)
	if err != nil {
		return nil, t.classify(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, t.status(reasonOfStatus(resp.StatusCode), resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, t.MaxBytes+1))
	if err != nil {
		return nil, t.classify(ctx, err)
	}
	if int64(len(data)) > t.MaxBytes {
		return nil, t.fail(TooBig, fmt.Errorf("more than %d bytes", t.MaxBytes))
	}
	return data, nil
}

func (t *transfer) fail(r Reason, err error) error {
	return &Error{URL: redact(t.url), Reason: r, Err: err}
}

func (t *transfer) status(r Reason, resp *http.Response) error {
	return &Error{URL: redact(t.url), Reason: r, Status: resp.StatusCode}
}

// classify turns an error of net/http into ours. The caller's own end of patience stays what it is.
func (t *transfer) classify(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errStalled), errors.Is(cause, errSlow):
		return t.fail(Stalled, cause)
	case cause != nil:
		return cause
	case isRedirect(withoutURL(err)):
		return t.fail(BadRedirect, withoutURL(err))
	case isUntrusted(err):
		return t.fail(Untrusted, withoutURL(err))
	default:
		return t.fail(Unreachable, withoutURL(err))
	}
}

// strongETag returns the ETag if it is one that If-Range may carry.
func strongETag(resp *http.Response) string {
	if e := resp.Header.Get("ETag"); len(e) >= 2 && e[0] == '"' {
		return e
	}
	return ""
}

// contentRange reads "bytes 10-19/20"; total is -1 for "*".
func contentRange(s string) (from, total int64, err error) {
	bad := fmt.Errorf("unusable Content-Range %.60q", s)
	s, ok := strings.CutPrefix(s, "bytes ")
	span, all, ok2 := strings.Cut(s, "/")
	first, last, ok3 := strings.Cut(span, "-")
	from, err = strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	total = -1
	if all != "*" {
		var err3 error
		if total, err3 = strconv.ParseInt(all, 10, 64); err3 != nil || total <= to {
			return 0, 0, bad
		}
	}
	rest := to >= from || to == from-1 && total == from // some servers answer so when nothing is left to send
	if !ok || !ok2 || !ok3 || err != nil || err2 != nil || from < 0 || !rest {
		return 0, 0, bad
	}
	return from, total, nil
}
