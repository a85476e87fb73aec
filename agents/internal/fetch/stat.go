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

// Look finds out whether there is something to fetch, and which content it is, and fetches nothing of it.
func Look(ctx context.Context, req Request) (Identity, error) {
	req = req.filled()
	u, err := parse(req.URL)
	if err != nil {
		return Identity{}, err
	}
	if u.Scheme == "file" {
		req.MaxBytes = math.MaxInt64
		return lookLocal(u, req)
	}
	return newTransfer(req, u).look(ctx)
}

func lookLocal(u *url.URL, req Request) (Identity, error) {
	f, err := local(u, req)
	if err != nil {
		return Identity{}, err
	}
	defer f.Close()
	at, err := f.Stat()
	if err != nil {
		return Identity{}, &Error{URL: redact(u), Reason: Unreachable, Err: err}
	}
	return Identity{Modified: stamp(at), Size: at.Size()}, nil
}

// stamp is what changes whenever a file is written or replaced.
func stamp(at os.FileInfo) string {
	st, ok := at.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Sprint(at.ModTime().UnixNano())
	}
	return fmt.Sprintf("%d inode %d", at.ModTime().UnixNano(), st.Ino)
}

// look asks by HEAD. What that is refused for is asked by GET: there are servers that know no HEAD, and addresses that
// are signed for GET alone.
func (t *transfer) look(ctx context.Context) (Identity, error) {
	ctx, watch := t.pace.watch(ctx, t.Request)
	defer watch.stop()
	resp, err := t.send(ctx, http.MethodHead, nil)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		resp, err = t.send(ctx, http.MethodGet, nil)
	}
	if err != nil {
		return Identity{}, t.judge(ctx, err)
	}
	resp.Body.Close() // unread: a body that comes all the same is cut off
	if resp.StatusCode != http.StatusOK {
		return Identity{}, t.status(byStatus(resp.StatusCode), resp)
	}
	return Identity{ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified"), Size: resp.ContentLength}, nil
}
