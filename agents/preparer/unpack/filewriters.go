package unpack

import (
	"io"
	"os"
	"path"
	"sync"
	"time"
)

const (
	smallFile   = 256 << 10 // files up to here are handed to a writer goroutine whole
	smallFiles  = 48        // how many may wait, so at most 12 MiB
	writerCount = 2         // writer goroutines; the work is the kernel's, more of them gain nothing
)

// newFile is a regular file to be made.
type newFile struct {
	name  string
	mode  os.FileMode
	mtime time.Time
	size  int64
}

// diskError marks an error of the staging directory, as opposed to one of the archive being read.
type diskError struct{ err error }

func (e *diskError) Error() string { return e.err.Error() }

// fileWriters makes what the archive holds. Directories and links are made at once, small files by goroutines, so that
// the kernel creates one file while the next is being decompressed. The files of one directory in a row go to one
// goroutine, because the kernel lets only one of them create in it at a time.
type fileWriters struct {
	into    *os.Root
	jobs    [writerCount]chan job
	slots   chan []byte
	group   sync.WaitGroup // the goroutines
	pending sync.WaitGroup // the files handed to them

	mu   sync.Mutex
	err  error
	dir  *dirHandle
	copy []byte
}

type job struct {
	newFile
	dir *dirHandle
	buf []byte
}

func newFileWriters(into *os.Root) *fileWriters {
	w := &fileWriters{into: into, slots: make(chan []byte, smallFiles)}
	for range smallFiles {
		w.slots <- nil
	}
	for i := range w.jobs {
		w.jobs[i] = make(chan job, smallFiles)
		w.group.Go(func() { w.run(w.jobs[i]) })
	}
	return w
}

func (w *fileWriters) run(jobs <-chan job) {
	for j := range jobs {
		if w.failed() == nil {
			w.fail(j.make(func(f *os.File) error {
				_, err := f.Write(j.buf[:j.size])
				return err
			}))
		}
		j.dir.release()
		w.slots <- j.buf
		w.pending.Done()
	}
}

func (w *fileWriters) fail(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *fileWriters) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// write makes one file from r. Its error is a *diskError or comes from r.
func (w *fileWriters) write(n newFile, r io.Reader) error {
	if err := w.failed(); err != nil {
		return &diskError{err}
	}
	dir, err := w.openDir(path.Dir(n.name))
	if err != nil {
		return &diskError{err}
	}
	j := job{newFile: n, dir: dir}
	if n.size > smallFile {
		defer dir.release()
		return w.stream(j, r)
	}
	j.buf = <-w.slots
	if int64(cap(j.buf)) < n.size {
		j.buf = make([]byte, bufferSize(n.size))
	}
	if _, err := io.ReadFull(r, j.buf[:n.size]); err != nil {
		w.slots <- j.buf
		dir.release()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	w.pending.Add(1)
	w.jobs[dir.writer] <- j
	return nil
}

// bufferSize rounds up, so that a buffer serves many files before it is replaced by a larger one.
func bufferSize(size int64) int64 {
	room := int64(8 << 10)
	for room < size {
		room *= 2
	}
	return room
}

func (w *fileWriters) stream(j job, r io.Reader) error {
	if w.copy == nil {
		w.copy = make([]byte, 256<<10)
	}
	var broken error
	err := j.make(func(f *os.File) error {
		for left := j.size; left > 0; {
			n, err := io.ReadFull(r, w.copy[:min(left, int64(len(w.copy)))])
			if err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				broken = err
				return err
			}
			if _, err := f.Write(w.copy[:n]); err != nil {
				return err
			}
			left -= int64(n)
		}
		return nil
	})
	switch {
	case broken != nil:
		return broken
	case err != nil:
		return &diskError{err}
	}
	return nil
}

// make creates the file, fills it, and gives it mode and time. It is as private as it was packed, only its owner may
// write, and nothing beyond the nine permission bits is taken over.
func (j job) make(fill func(*os.File) error) error {
	mode := j.mode & 0o755
	base := path.Base(j.name)
	f, err := j.dir.root.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil && !j.mtime.IsZero() {
		err = setTime(f, j.dir.root, base, j.mtime)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (w *fileWriters) mkdir(name string, mode os.FileMode) error {
	if err := w.into.Mkdir(name, 0o700); err != nil {
		return err
	}
	return w.chmodDir(name, mode)
}

// chmodDir leaves a directory as private as it was packed. Its owner can always write, for files are still to come.
func (w *fileWriters) chmodDir(name string, mode os.FileMode) error {
	return w.into.Chmod(name, mode&0o755|0o700)
}

func (w *fileWriters) symlink(target, name string) error { return w.into.Symlink(target, name) }

// link waits for the files in flight, for the one to be linked may be among them.
func (w *fileWriters) link(old, name string) error {
	w.pending.Wait()
	if err := w.failed(); err != nil {
		return err
	}
	return w.into.Link(old, name)
}

// finish waits for all files and returns the first error any of them met.
func (w *fileWriters) finish() error {
	for _, jobs := range w.jobs {
		close(jobs)
	}
	w.group.Wait()
	if w.dir != nil {
		w.dir.release()
	}
	return w.err
}
