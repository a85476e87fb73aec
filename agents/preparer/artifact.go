package main

import (
	"context"
	"net/url"
	"path"
	"strings"

	"github.com/platypus-platform/platypus/agents/internal/fetch"
	"github.com/platypus-platform/platypus/intent"
)

// endings are those an artifact may have, in the order in which they are looked for.
var endings = []string{".tar.gz", ".tar.zst"}

// artifact is where a version can be had.
type artifact struct {
	url url.URL
	is  fetch.Identity
}

func (a artifact) name() string   { return path.Base(a.url.Path) }
func (a artifact) remote() bool   { return a.url.Scheme == "http" || a.url.Scheme == "https" }
func (a artifact) String() string { return a.url.String() }

// beside is the address of a file that belongs to the artifact.
func (a artifact) beside(suffix string) string {
	u := a.url
	u.Path, u.RawPath = u.Path+suffix, ""
	return u.String()
}

// find looks for the artifact of a version below the repository.
func (h *preparer) find(ctx context.Context, s Step) (artifact, error) {
	repo, err := h.options.address()
	if err != nil {
		return artifact{}, stepErrorf(Reason(fetch.BadAddress), "--repo cannot be parsed")
	}
	var tried []string
	for _, ending := range endings {
		a := artifact{url: *repo.JoinPath(intent.ArtifactName(s.App, s.Version) + ending)}
		var err error
		if a.is, err = fetch.Stat(ctx, h.request(a.String())); fetch.ReasonOf(err) != fetch.NotFound {
			return a, err
		}
		if tried = append(tried, a.name()); len(tried) == 1 {
			tried[0] = fetch.Redact(a.String())
		}
	}
	return artifact{}, stepErrorf(Reason(fetch.NotFound), "%s is not published: there is no %s, nor beside it %s",
		s.Version, tried[0], strings.Join(tried[1:], ", "))
}

// address is that of the repository.
func (o options) address() (*url.URL, error) {
	repo, err := url.Parse(o.repo)
	if err == nil && repo.Scheme == "" {
		repo.Scheme = "file"
	}
	return repo, err
}

// request asks for one file of the repository.
func (h *preparer) request(address string) fetch.Request {
	r := fetch.Request{URL: address}
	if repo, err := h.options.address(); err == nil && repo.Scheme == "file" {
		r.Repo = path.Clean("/" + repo.Path)
	}
	return r
}

// get fetches the artifact, into a partial file at part unless it is local, and reports how far it is.
func (h *preparer) get(ctx context.Context, s Step, a artifact, part string) (*fetch.File, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	checked := false
	req := h.request(a.String())
	req.Partial, req.MaxBytes = part, h.options.maxBytes
	req.Progress = func(done, total int64) {
		h.progress.set(s.Subject(), done, total)
		if !checked && total > 0 {
			checked = true
			// The artifact and what it unpacks to lie side by side for a while.
			if err := checkSpace(s.Basedir, total-done+total); err != nil {
				giveUp(err)
			}
		}
	}
	f, err := fetch.Get(ctx, req)
	if err != nil {
		return nil, err
	}
	return f, checkSpace(s.Basedir, unpackedSize(f))
}
