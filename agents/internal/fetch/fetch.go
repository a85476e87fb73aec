package fetch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Request is one file to bring. Zero fields take the defaults named beside them.
type Request struct {
	URL      string                  // file:///path, http://…, https://…, or an absolute path
	Repo     string                  // directory below which a local file is opened without following a link; "" is no such rule
	Partial  string                  // where http and https content is kept; its state lies beside it, with StateSuffix
	MaxBytes int64                   // largest content taken; 8 GiB
	Stall    time.Duration           // longest wait for the next byte; 30 s
	MinRate  int64                   // bytes a second, on average over RateOver; 1024
	RateOver time.Duration           // 60 s
	Progress func(done, total int64) // called often, from one goroutine; total is -1 while unknown
	Client   *http.Client            // its Transport is used; nil: a transport that honours the proxy environment
}

// File is fetched content, open for reading from its beginning.
type File struct {
	*os.File
	Size   int64  // bytes
	SHA256 string // lower-case hex; empty for a local file, which was not read yet
}

// Sizes of what is refused beyond, and of what one read takes.
const (
	DefaultMaxBytes = 8 << 30
	bufferSize      = 256 << 10
)

func (r Request) withDefaults() Request {
	if r.MaxBytes <= 0 {
		r.MaxBytes = DefaultMaxBytes
	}
	if r.Stall <= 0 {
		r.Stall = 30 * time.Second
	}
	if r.MinRate <= 0 {
		r.MinRate = 1024
	}
	if r.RateOver <= 0 {
		r.RateOver = time.Minute
	}
	if r.Progress == nil {
		r.Progress = func(int64, int64) {}
	}
	return r
}

// Get brings the file. The caller closes it, and removes the partial file when it is no longer needed (see [Discard]).
func Get(ctx context.Context, req Request) (*File, error) {
	req = req.withDefaults()
	u, err := parse(req.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return openLocalFile(u, req)
	}
	return newTransfer(req, u).run(ctx)
}

// Small brings a file of at most limit bytes into memory: a digest or a signature beside an artifact. Nothing is kept
// on disk and nothing is resumed.
func Small(ctx context.Context, req Request, limit int64) ([]byte, error) {
	req.MaxBytes = limit
	req = req.withDefaults()
	u, err := parse(req.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		f, err := openLocalFile(u, req)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, limit))
	}
	return newTransfer(req, u).small(ctx)
}

// parse accepts what Request.URL may be.
func parse(raw string) (*url.URL, error) {
	if strings.HasPrefix(raw, "/") {
		return &url.URL{Scheme: "file", Path: raw}, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, &Error{Reason: BadAddress, Err: errors.New("the address cannot be parsed")}
	}
	switch {
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") && strings.HasPrefix(u.Path, "/"):
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
	case u.Scheme == "file":
		return nil, &Error{URL: redact(u), Reason: BadAddress, Err: errors.New("a file address has no host: write file:///path")}
	default:
		return nil, &Error{URL: redact(u), Reason: BadAddress, Err: errors.New("only file, http and https are known")}
	}
	return u, nil
}

// Redact spells an address without user, password, query and fragment, for records and messages.
func Redact(raw string) string {
	u, err := parse(raw)
	if err != nil {
		return ""
	}
	return redact(u)
}

// redact spells an address without what may be secret in it: user, password, query and fragment.
func redact(u *url.URL) string {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.RawQuery != "" {
		return bare.String() + "?…"
	}
	return bare.String()
}
