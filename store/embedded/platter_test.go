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

// platter is a disk below a cache, as far as a program may count on it: what was written stands in the cache, and is
// on the disk for sure only after a flush that worked. Before that it may have come there, in parts and in any order;
// after a flush that failed it counts as clean, and no later flush brings it there unless it is written again.
type platter struct {
	random  *rand.Rand
	names   map[string]*cached // as the program sees them
	durable map[string]*cached // as they are on the disk for sure
	moves   map[string][]move  // by folder, what its flush has still to bring to the disk
	flushes map[string]flight  // by thread, the one under way
}

// move is a new name for a file or a folder.
type move struct {
	from, to string
	file     *cached
}

type flight struct {
	path   string
	names  int            // how many moves of the folder it covers
	pages  map[int]int    // which pages it covers, as which write left them
	copies map[int][]byte // what was in them
}

// cached is a file, or a folder when it has no cache.
type cached struct {
	cache, disk []byte
	dirty       map[int]int // pages that the next flush brings to the disk, and the number of their last write
	lost        map[int]bool
	writes      int
}

func newPlatter(random *rand.Rand) *platter {
	return &platter{random, map[string]*cached{}, map[string]*cached{}, map[string][]move{}, map[string]flight{}}
}

func (p *platter) create(path string) {
	if p.names[path] == nil {
		p.link(move{"", path, &cached{dirty: map[int]int{}, lost: map[int]bool{}}})
	}
}

func (p *platter) rename(from, to string) { p.link(move{from, to, p.names[from]}) }

func (p *platter) link(m move) {
	m.apply(p.names)
	dir := filepath.Dir(m.to)
	p.moves[dir] = append(p.moves[dir], m)
}

func (m move) apply(names map[string]*cached) {
	delete(names, m.from)
	names[m.to] = m.file
}

// truncate sets the size of a file, which a journaling file system has on the disk before anything that is flushed
// after it.
func (p *platter) truncate(path string, size int) {
	f := p.names[path]
	f.cache = resized(f.cache, size)
	f.disk = resized(f.disk, size)
}

func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

func (p *platter) write(path string, at int, data []byte) {
	f := p.names[path]
	if end := at + len(data); end > len(f.cache) {
		p.truncate(path, end)
	}
	copy(f.cache[at:], data)
	f.writes++
	for page := at / pageSize; page*pageSize < at+len(data); page++ {
		f.dirty[page] = f.writes
	}
	for page := range f.dirty { // a cache writes back when it likes
		if p.random.IntN(8) == 0 {
			copy(f.page(f.disk, page), f.page(f.cache, page))
			delete(f.dirty, page)
		}
		break
	}
}

func (f *cached) page(of []byte, page int) []byte {
	return of[page*pageSize : min(len(of), (page+1)*pageSize)]
}

// flushing notes what a flush covers when it begins.
func (p *platter) flushing(thread, path string) {
	now := flight{path: path, names: len(p.moves[path]), pages: map[int]int{}, copies: map[int][]byte{}}
	if f := p.names[path]; f != nil {
		for page, write := range f.dirty {
			now.pages[page] = write
			now.copies[page] = slices.Clone(f.page(f.cache, page))
		}
	}
	p.flushes[thread] = now
}

// flushed ends what flushing began.
func (p *platter) flushed(thread string, worked bool) {
	now := p.flushes[thread]
	if worked {
		for _, m := range p.moves[now.path][:now.names] {
			m.apply(p.durable)
		}
		p.moves[now.path] = p.moves[now.path][now.names:]
	}
	f := p.names[now.path]
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

// cut writes to a folder what a power cut leaves of another one. Whether a page that is not on the disk for sure is
// there is left to chance, sector by sector or as a whole.
func (p *platter) cut(from, to string) error {
	left := map[string]*cached{}
	for path, f := range p.durable {
		left[path] = f
	}
	for _, moves := range p.moves {
		for _, m := range moves[:p.random.IntN(len(moves)+1)] {
			m.apply(left)
		}
	}
	if left[from] == nil {
		return nil // the folder itself is gone
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	mood := p.random.IntN(4)
	for path, f := range left {
		name, below := strings.CutPrefix(path, from+"/")
		if !below {
			continue
		}
		if err := os.WriteFile(filepath.Join(to, name), f.after(p.random, mood), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// after is what a cut leaves of a file: nothing of what is unsure, all of it, or some sectors.
func (f *cached) after(random *rand.Rand, mood int) []byte {
	left := slices.Clone(f.disk)
	unsure := map[int]bool{}
	for page := range f.dirty {
		unsure[page] = true
	}
	for page, lost := range f.lost {
		unsure[page] = unsure[page] || lost
	}
	for page := range unsure {
		for at := page * pageSize; unsure[page] && at < min(len(left), (page+1)*pageSize); at += sectorSize {
			if mood == 1 || mood > 1 && random.IntN(2) == 0 {
				copy(left[at:min(len(left), at+sectorSize)], f.cache[at:])
			}
		}
	}
	return left
}
