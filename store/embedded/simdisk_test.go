package embedded_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	pageSize   = 4096 // what a cache writes back at a time
	sectorSize = 512  // what a disk writes whole or not at all
)

// simDisk models a disk below a page cache with the weakest guarantees a program can rely on. A write goes to the
// cache; it is surely on disk only after a successful flush. Before that any part of it may reach the disk in any
// order. After a failed flush it counts as clean, and no later flush writes it unless it is written again.
type simDisk struct {
	random  *rand.Rand
	names   map[string]*simFile     // as the program sees them
	durable map[string]*simFile     // as they surely are on disk
	renames map[string][]rename     // by directory, renames that its next flush makes durable
	flushes map[string]pendingFlush // by thread, the flush in progress
}

// rename is a new name for a file or a directory.
type rename struct {
	from, to string
	file     *simFile
}

type pendingFlush struct {
	path    string
	renames int            // how many renames of the directory it covers
	pages   map[int]int    // the pages it covers, with the number of their last write
	copies  map[int][]byte // content of those pages
}

// simFile is a file, or a directory when it has no cache.
type simFile struct {
	cache, disk []byte
	dirty       map[int]int // pages that the next flush writes, with the number of their last write
	lost        map[int]bool
	writes      int
}

func newSimDisk(random *rand.Rand) *simDisk {
	return &simDisk{random, map[string]*simFile{}, map[string]*simFile{}, map[string][]rename{}, map[string]pendingFlush{}}
}

func (d *simDisk) create(path string) {
	if d.names[path] == nil {
		d.link(rename{"", path, &simFile{dirty: map[int]int{}, lost: map[int]bool{}}})
	}
}

func (d *simDisk) rename(from, to string) { d.link(rename{from, to, d.names[from]}) }

func (d *simDisk) link(m rename) {
	m.apply(d.names)
	dir := filepath.Dir(m.to)
	d.renames[dir] = append(d.renames[dir], m)
}

func (m rename) apply(names map[string]*simFile) {
	delete(names, m.from)
	names[m.to] = m.file
}

// truncate sets the size of a file. A journaling file system makes that durable before any later flush.
func (d *simDisk) truncate(path string, size int) {
	f := d.names[path]
	f.cache = resized(f.cache, size)
	f.disk = resized(f.disk, size)
}

func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

func (d *simDisk) write(path string, at int, data []byte) {
	f := d.names[path]
	if end := at + len(data); end > len(f.cache) {
		d.truncate(path, end)
	}
	copy(f.cache[at:], data)
	f.writes++
	for page := at / pageSize; page*pageSize < at+len(data); page++ {
		f.dirty[page] = f.writes
	}
	for page := range f.dirty { // a cache writes back at any time
		if d.random.IntN(8) == 0 {
			copy(f.page(f.disk, page), f.page(f.cache, page))
			delete(f.dirty, page)
		}
		break
	}
}

func (f *simFile) page(of []byte, page int) []byte {
	return of[page*pageSize : min(len(of), (page+1)*pageSize)]
}

// flushing records what a flush covers when it begins.
func (d *simDisk) beginFlush(thread, path string) {
	now := pendingFlush{path: path, renames: len(d.renames[path]), pages: map[int]int{}, copies: map[int][]byte{}}
	if f := d.names[path]; f != nil {
		for page, write := range f.dirty {
			now.pages[page] = write
			now.copies[page] = slices.Clone(f.page(f.cache, page))
		}
	}
	d.flushes[thread] = now
}

// flushed completes a flush that flushing began.
func (d *simDisk) endFlush(thread string, worked bool) {
	now := d.flushes[thread]
	if worked {
		for _, m := range d.renames[now.path][:now.renames] {
			m.apply(d.durable)
		}
		d.renames[now.path] = d.renames[now.path][now.renames:]
	}
	f := d.names[now.path]
	for page, write := range now.pages {
		if worked && page*pageSize < len(f.disk) {
			copy(f.page(f.disk, page), now.copies[page])
		}
		f.lost[page] = f.lost[page] || !worked
		if f.dirty[page] == write {
			delete(f.dirty, page)
			f.lost[page] = !worked
		}
	}
}

// cut writes to a directory what a power cut leaves of another one. A page that is not surely on disk is kept at
// random, by sector or as a whole.
func (d *simDisk) powerCut(from, to string) error {
	remaining := map[string]*simFile{}
	for path, f := range d.durable {
		remaining[path] = f
	}
	for _, moves := range d.renames {
		for _, m := range moves[:d.random.IntN(len(moves)+1)] {
			m.apply(remaining)
		}
	}
	if remaining[from] == nil {
		return nil // the directory itself is lost
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	policy := d.random.IntN(4)
	for path, f := range remaining {
		name, below := strings.CutPrefix(path, from+"/")
		if !below {
			continue
		}
		if err := os.WriteFile(filepath.Join(to, name), f.afterCut(d.random, policy), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// after is what a power cut leaves of a file: none of the uncertain pages, all of them, or some sectors.
func (f *simFile) afterCut(random *rand.Rand, policy int) []byte {
	content := slices.Clone(f.disk)
	uncertain := map[int]bool{}
	for page := range f.dirty {
		uncertain[page] = true
	}
	for page, lost := range f.lost {
		uncertain[page] = uncertain[page] || lost
	}
	for page := range uncertain {
		for at := page * pageSize; uncertain[page] && at < min(len(content), (page+1)*pageSize); at += sectorSize {
			if policy == 1 || policy > 1 && random.IntN(2) == 0 {
				copy(content[at:min(len(content), at+sectorSize)], f.cache[at:])
			}
		}
	}
	return content
}
