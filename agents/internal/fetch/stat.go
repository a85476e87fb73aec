package fetch

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"syscall"
)

// Identity is what can be known of content without fetching it: enough to tell that it is another one.
type Identity struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"` // as the server writes it; times and inode of a local file
	Size     int64  `json:"size"`               // bytes, -1 when it is not said
}

// Known reports whether two equal identities mean the same content, as far as the server is honest.
func (i Identity) Known() bool { return i.ETag != "" || i.Modified != "" || i.Size >= 0 }

// Stat finds out whether there is something to fetch, and which content it is, and fetches nothing of it.
func Stat(ctx context.Context, req Request) (Identity, error) {
	req = req.withDefaults()
	u, err := parse(req.URL)
	if err != nil {
		return Identity{}, err
	}
	if u.Scheme == "file" {
		req.MaxBytes = math.MaxInt64
		return statLocal(u, req)
	}
	return newTransfer(req, u).stat(ctx)
}

func statLocal(u *url.URL, req Request) (Identity, error) {
	f, err := openLocalFile(u, req)
	if err != nil {
		return Identity{}, err
	}
	defer f.Close()
	at, err := f.Stat()
	if err != nil {
		return Identity{}, &Error{URL: redact(u), Reason: Unreachable, Err: err}
	}
	return Identity{Modified: fileVersion(at), Size: at.Size()}, nil
}

// fileVersion is what changes whenever a file is written or replaced.
func fileVersion(at os.FileInfo) string {
	st, ok := at.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Sprint(at.ModTime().UnixNano())
	}
	return fmt.Sprintf("%d inode %d", at.ModTime().UnixNano(), st.Ino)
}

// stat asks by HEAD. What that is refused for is asked by GET: there are servers that know no HEAD, and addresses that
// are signed for GET alone.
func (t *transfer) stat(ctx context.Context) (Identity, error) {
	ctx, timer := t.rate.watch(ctx, t.Request)
	defer timer.stop()
	resp, err := t.send(ctx, http.MethodHead, nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		resp, err = t.send(ctx, http.MethodGet, nil)
	}
	if err != nil {
		return Identity{}, t.classify(ctx, err)
	}
	resp.Body.Close() // unread: a body that comes all the same is cut off
	if resp.StatusCode != http.StatusOK {
		return Identity{}, t.status(reasonOfStatus(resp.StatusCode), resp)
	}
	return Identity{ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified"), Size: resp.ContentLength}, nil
}
