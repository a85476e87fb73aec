package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/platypus-platform/platypus/agents/internal/fetch"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// preparer holds what observe and apply need.
type preparer struct {
	options      options
	node         intent.Name
	registry     *registry
	extractSlots chan struct{} // bounds how many archives are extracted at once: memory and disk are shared
	progress     *progress
	rejections   *rejections

	mu         sync.Mutex
	lastErrors map[string]string // by subject: what the last try met
	diskFull   map[string]bool   // by basedir: the last install met a full disk
}

func newPreparer(o options, r *registry, v *rejections) *preparer {
	return &preparer{options: o, registry: r, rejections: v, extractSlots: make(chan struct{}, 2), progress: newProgress(), lastErrors: map[string]string{}, diskFull: map[string]bool{}}
}

// observe reads every basedir that is remembered.
func (h *preparer) observe(context.Context) (Actual, error) {
	h.mu.Lock()
	a := Actual{Keep: h.options.keep, Working: h.progress.lines(), LastErrors: maps.Clone(h.lastErrors)}
	h.mu.Unlock()
	for _, s := range h.registry.all() {
		p := h.readAppDir(s)
		p.Known = true
		a.AppDirs = append(a.AppDirs, p)
	}
	return a, nil
}

// withDeclaredDirs adds the basedirs that intent names for the first time, so that what is there already counts.
func (h *preparer) withDeclaredDirs(node intent.Node, a Actual) Actual {
	a.AppDirs = slices.Clone(a.AppDirs)
	for _, app := range node.Apps {
		known := slices.ContainsFunc(a.AppDirs, func(p AppDir) bool { return p.App == app.Name && p.Basedir == app.Deploy.Basedir })
		if app.Sound() && !known {
			a.AppDirs = append(a.AppDirs, h.readAppDir(location{App: app.Name, Basedir: app.Deploy.Basedir}))
		}
	}
	slices.SortFunc(a.AppDirs, func(x, y AppDir) int { return cmp.Or(cmp.Compare(x.Basedir, y.Basedir), cmp.Compare(x.App, y.App)) })
	return a
}

// readAppDir reads one place. What cannot be read is a fault of that place, and nothing happens there.
func (h *preparer) readAppDir(s location) AppDir {
	h.mu.Lock()
	p := AppDir{App: s.App, Basedir: s.Basedir, Node: s.Node, DiskFull: h.diskFull[s.Basedir]}
	h.mu.Unlock()
	if err := checkSafe(s.Basedir); err != nil {
		p.Fault = err.Error()
		return p
	}
	p.Denied = denied(s.Basedir)
	root, err := os.OpenRoot(s.Basedir)
	if errors.Is(err, fs.ErrNotExist) {
		return p
	}
	if err != nil {
		p.Fault = classify(err).Error()
		return p
	}
	defer root.Close()
	if err := p.read(root); err != nil {
		p.Fault = classify(err).Error()
	}
	return p
}

// denied tells why this user may not write below a basedir, or make it. Root may anywhere.
func denied(basedir string) string {
	for dir := basedir; os.Geteuid() != 0; dir = filepath.Dir(dir) {
		err := unix.Access(dir, unix.W_OK|unix.X_OK)
		if errors.Is(err, fs.ErrNotExist) && dir != "/" {
			continue
		}
		if errors.Is(err, fs.ErrPermission) {
			return classify(fmt.Errorf("%s: %w", dir, err)).Error()
		}
		return ""
	}
	return ""
}

func (p *AppDir) read(root *os.Root) error {
	for _, name := range slices.Sorted(maps.Keys(ownDirs)) {
		if err := checkOwn(root, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	entries, err := list(root, "installs")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if v, ok := versionOf(p.App, e.Name()); ok {
			p.Installs = append(p.Installs, readInstall(root, p.App, v))
		}
	}
	slices.SortFunc(p.Installs, func(a, b Install) int { return strings.Compare(string(a.Version), string(b.Version)) })
	if p.Current, err = linkedVersions(p.App, intent.Current(p.Basedir)); err != nil {
		return err
	}
	if p.Previous, err = linkedVersions(p.App, intent.Previous(p.Basedir)); err != nil {
		return err
	}
	return p.readLeftovers(root)
}

// list reads a directory below root; one that is not there is empty.
func list(root *os.Root, name string) ([]fs.DirEntry, error) {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

func readInstall(root *os.Root, app, v intent.Name) Install {
	dir := path.Join("installs", string(app)+"_"+string(v))
	i := Install{Version: v, Condition: Incomplete, Detail: "incomplete: neither " + intent.Marker + " nor " + intent.Launch}
	info, err := root.Lstat(dir)
	switch {
	case err != nil:
		i.Condition, i.Detail = Blocked, "cannot be read: "+err.Error()
		return i
	case !info.IsDir():
		i.Condition, i.Detail = Blocked, "is not a directory"
		return i
	}
	record, ok := readRecord(root, dir)
	switch {
	case ok && (record.App != app || record.Version != v):
		i.Condition, i.Detail = Foreign, "belongs to "+string(record.App)+" "+string(record.Version)
	case ok:
		i.Condition, i.SHA256, i.Verified, i.At, i.Detail = Complete, record.SHA256, record.Verified, record.Installed, ""
	default:
		if _, err := root.Stat(path.Join(dir, intent.Launch)); err == nil {
			i.Condition, i.Verified, i.Detail = Legacy, unverified, ""
		}
	}
	return i
}

func readRecord(root *os.Root, dir string) (Record, bool) {
	f, err := root.Open(path.Join(dir, intent.Marker))
	if err != nil {
		return Record{}, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return Record{}, false
	}
	return decodeRecord(data)
}

// linkedVersions returns the versions that a link may mean: as it is written, and where it ends when followed. A link
// that leads elsewhere or nowhere means none of ours.
func linkedVersions(app intent.Name, link string) (versions []intent.Name, err error) {
	target, err := os.Readlink(link)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
		return nil, nil // absent, or not a link: then it points at no install
	}
	if err != nil {
		return nil, err
	}
	for _, t := range []string{target, resolveLink(link)} {
		if v, ok := versionOf(app, filepath.Base(t)); ok && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return versions, nil
}

func resolveLink(link string) string {
	target, _ := filepath.EvalSymlinks(link)
	return target
}

// readLeftovers lists what is staged and what is to be deleted. A staging directory is locked by whoever fills it.
func (p *AppDir) readLeftovers(root *os.Root) error {
	for _, dir := range []string{staging, trash} {
		entries, err := list(root, dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			l := Leftover{Path: path.Join(dir, e.Name())}
			if v, ok := partialOf(p.App, e); ok && dir == staging {
				l.Version, l.Partial = v, true
			}
			if dir == staging && e.IsDir() {
				l.Busy = busy(root, l.Path)
			}
			l.Busy = l.Busy || host.InProgress(filepath.Join(p.Basedir, l.Path))
			p.Leftovers = append(p.Leftovers, l)
		}
	}
	return nil
}

// partialOf tells which version a download in .staging is of.
func partialOf(app intent.Name, e fs.DirEntry) (intent.Name, bool) {
	name, isPart := strings.CutSuffix(strings.TrimSuffix(e.Name(), fetch.StateSuffix), partSuffix)
	if !isPart || !e.Type().IsRegular() {
		return "", false
	}
	return versionOf(app, name)
}

// partSuffix ends the name of a download in .staging.
const partSuffix = ".part"
