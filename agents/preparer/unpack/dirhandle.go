package unpack

import (
	"os"
	"sync/atomic"
)

// dirHandle is an open directory shared by the files being made in it, so that each of them costs one openat instead of
// one for each component of its path. It is closed by its last user.
type dirHandle struct {
	name   string
	root   *os.Root
	users  atomic.Int32
	isRoot bool // the tree's own root, which belongs to the caller
	writer int  // which goroutine makes the files in it
}

func (p *dirHandle) release() {
	if p.users.Add(-1) == 0 && !p.isRoot {
		p.root.Close()
	}
}

// openDir returns the open directory name; the caller releases it. Archives list a directory's files together, so
// remembering the last one is enough.
func (w *fileWriters) openDir(name string) (*dirHandle, error) {
	if w.dir == nil || w.dir.name != name {
		next := &dirHandle{name: name, root: w.into, isRoot: name == "."}
		if !next.isRoot {
			var err error
			if next.root, err = w.into.OpenRoot(name); err != nil {
				return nil, err
			}
		}
		next.users.Store(1)
		next.writer = w.leastBusy()
		if w.dir != nil {
			w.dir.release()
		}
		w.dir = next
	}
	w.dir.users.Add(1)
	return w.dir, nil
}

func (w *fileWriters) leastBusy() int {
	best := 0
	for i := range w.jobs {
		if len(w.jobs[i]) < len(w.jobs[best]) {
			best = i
		}
	}
	return best
}
