package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/fetch"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/preparer/unpack"
	"github.com/platypus-platform/platypus/intent"
)

// install fetches, verifies and extracts one version. It appears by one rename, whole, verified and on disk, or not
// at all. Killed at any point, it leaves only what a sweep removes and a download that the next try resumes.
func (h *preparer) install(ctx context.Context, s Step) error {
	h.progress.begin(s.Subject(), "looking for it")
	defer h.progress.end(s.Subject())
	a, err := h.find(ctx, s)
	if err != nil {
		return err
	}
	want, err := h.expected(ctx, s, a)
	if err != nil {
		return err
	}
	now := h.describe(s, a, want)
	if err := h.rejections.known(s.Subject(), now); err != nil {
		return err
	}
	if now.SHA256, err = h.fetchAndExtract(ctx, s, a, want); err != nil {
		return h.rejections.record(s.Subject(), now, err)
	}
	h.rejections.drop(s.Subject())
	return nil
}

// fetchAndExtract does what is left of an install once it is clear what is wanted. It returns the digest of the content
// as far as that is known.
func (h *preparer) fetchAndExtract(ctx context.Context, s Step, a artifact, want verification) (sum string, err error) {
	if err := h.registry.add(location{s.App, s.Basedir, h.node}); err != nil {
		return "", err
	}
	root, err := openBasedir(s.Basedir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	part := filepath.Join(s.Basedir, staging, string(s.App)+"_"+string(s.Version)+partSuffix)
	h.progress.begin(s.Subject(), "fetching")
	file, err := h.get(ctx, s, a, part)
	if file != nil {
		defer file.Close()
	}
	if err == nil {
		sum, err = h.unpack(ctx, s, root, a, want, file)
	}
	err = classify(err)
	if used := file != nil && file.SHA256 != "" && !errors.Is(err, context.Canceled); used || reasonOf(err) == NoSpace {
		// Content that is used up is of no use any more, content that is wrong must not be resumed, and a full disk
		// needs the room.
		err = errors.Join(err, fetch.Discard(part))
	}
	return sum, err
}

// unpack extracts a fetched artifact into a staging directory, verifies it, and brings it into place. It returns the
// digest of the artifact as far as that is known.
func (h *preparer) unpack(ctx context.Context, s Step, root *os.Root, a artifact, want verification, file *fetch.File) (string, error) {
	if file.SHA256 != "" && want.sha256 != "" && file.SHA256 != want.sha256 {
		return file.SHA256, want.check(file.SHA256, nil, nil, a.name()) // known to be wrong before a byte of it is parsed
	}
	select {
	case h.extractSlots <- struct{}{}:
		defer func() { <-h.extractSlots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	stage, err := newStage(root, s)
	if err != nil {
		return file.SHA256, err
	}
	defer stage.discard()
	h.progress.begin(s.Subject(), "extracting")
	src, signed := want.signedReader(&progressReader{file: file, report: func(n int64) { h.progress.set(s.Subject(), n, file.Size) }})
	res, err := unpack.Archive(ctx, src, stage.dir, h.options.limits)
	if res.SHA256 != "" {
		// Damaged bytes are told from a bad archive by their digest, so the digest speaks first.
		if bad := want.check(res.SHA256, signed, h.options.keys, a.name()); bad != nil {
			return res.SHA256, bad
		}
	}
	if err != nil {
		return cmp.Or(res.SHA256, file.SHA256), withoutTempName(err)
	}
	if err := checkLaunch(stage.dir, s); err != nil {
		return res.SHA256, err
	}
	return res.SHA256, stage.commit(s, Record{
		App: s.App, Version: s.Version, Node: h.node, SHA256: res.SHA256, Size: res.Size, Bytes: res.Bytes, Files: res.Files,
		Source: fetch.Redact(a.String()), Verified: want.by, Installed: time.Now().UTC().Truncate(time.Millisecond),
	})
}

// progressReader tells how much of a file was read.
type progressReader struct {
	file   *fetch.File
	read   int64
	report func(int64)
}

func (c *progressReader) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	c.read += int64(n)
	c.report(c.read)
	return n, err
}

// stage is a directory in which an install comes to be. Its lock tells other copies of this agent that it is in use;
// the kernel takes the lock away with the process.
type stage struct {
	root *os.Root // of the basedir
	name string   // below it
	dir  *os.Root
	lock *os.File
}

func newStage(root *os.Root, s Step) (*stage, error) {
	name := path.Join(staging, fmt.Sprintf("%s_%s.%d-%d", s.App, s.Version, os.Getpid(), time.Now().UnixNano()))
	g := &stage{root: root, name: name}
	err := withStagingLock(root, func() error {
		if err := root.Mkdir(name, 0o700); err != nil {
			return err
		}
		var err error
		if g.dir, err = root.OpenRoot(name); err != nil {
			return err
		}
		g.lock, err = lockEntry(root, name)
		return err
	})
	if err != nil {
		g.discard()
		return nil, withoutTempName(err)
	}
	return g, nil
}

// discard removes the directory, unless it was brought into place, and lets go of it.
func (g *stage) discard() {
	if g.name != "" {
		_ = g.root.RemoveAll(g.name) // what stays is swept later
	}
	if g.dir != nil {
		g.dir.Close()
	}
	if g.lock != nil {
		g.lock.Close()
	}
}

// commit writes the record, brings everything to the disk, and only then gives the install its name.
func (g *stage) commit(s Step, r Record) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	if err := g.dir.RemoveAll(intent.Marker); err != nil { // an archive may hold one of its own
		return withoutTempName(err)
	}
	if err := g.dir.WriteFile(intent.Marker, data, 0o644); err != nil {
		return withoutTempName(err)
	}
	if err := g.dir.Chmod(intent.Marker, 0o644); err != nil {
		return withoutTempName(err)
	}
	if err := g.root.Chmod(g.name, 0o755); err != nil {
		return withoutTempName(err)
	}
	if err := unpack.Sync(filepath.Join(s.Basedir, g.name)); err != nil {
		return withoutTempName(err)
	}
	target := path.Join("installs", string(s.App)+"_"+string(s.Version))
	if _, err := g.root.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		return stepErrorf(InTheWay, "%s has appeared meanwhile", filepath.Join(s.Basedir, target))
	}
	if err := g.root.Rename(g.name, target); err != nil {
		return withoutTempName(err)
	}
	g.name = ""
	return host.SyncDir(intent.Installs(s.Basedir))
}

// withoutTempName removes the random name of the staging directory from an error, so that a repeated fault is logged
// once.
func withoutTempName(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return fmt.Errorf("%s in %s: %w", p.Op, staging, p.Err)
	case errors.As(err, &l):
		return fmt.Errorf("%s in %s: %w", l.Op, staging, l.Err)
	}
	return err
}
