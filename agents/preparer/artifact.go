package main

import (
	"context"
	"net/url"
	"path"

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
	repo, err := url.Parse(h.options.repo)
	if err != nil {
		return artifact{}, troublef(Reason(fetch.BadAddress), "--repo cannot be parsed")
	}
	if repo.Scheme == "" {
		repo.Scheme = "file"
	}
	var first error
	for _, ending := range endings {
		a := artifact{url: *repo.JoinPath(intent.ArtifactName(s.App, s.Version) + ending)}
		var err error
		if a.is, err = fetch.Look(ctx, fetch.Request{URL: a.String()}); fetch.ReasonOf(err) != fetch.NotFound {
			return a, err
		}
		if first == nil {
			first = err
		}
	}
	return artifact{}, first
}

// get fetches the artifact, into a partial file at part unless it is local, and reports how far it is.
func (h *preparer) get(ctx context.Context, s Step, a artifact, part string) (*fetch.File, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	checked := false
	f, err := fetch.Get(ctx, fetch.Request{
		URL: a.String(), Partial: part, MaxBytes: h.options.maxBytes,
		Progress: func(done, total int64) {
			h.progress.set(s.Subject(), done, total)
			if !checked && total > 0 {
				checked = true
				// The artifact and what it unpacks to lie side by side for a while.
				if err := room(s.Basedir, total-done+total); err != nil {
					giveUp(err)
				}
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return f, room(s.Basedir, unpackedSize(f))
}
