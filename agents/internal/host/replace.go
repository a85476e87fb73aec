package host

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// tempName is the name of what lies beside a file or link while it comes to be: nobody else makes such names.
var tempName = regexp.MustCompile(`^\..+\.[0-9a-f]{16}\.platypus$`)

// inProgress is what this process writes at this moment, and where it has written: [RemoveLeftovers] must leave alone what a
// neighbouring goroutine is about to rename.
var inProgress = struct {
	sync.Mutex
	files map[string]bool // paths under way
	dirs  map[string]bool // directories that the list names
	list  string          // see SweepAll; "" keeps none
}{files: map[string]bool{}, dirs: map[string]bool{}}

// replaceAtomically lets write make something with a name of its own in path's directory, and brings it into path's place.
func replaceAtomically(path string, write func(temporary string) error) error {
	dir, name := filepath.Split(filepath.Clean(path))
	temporary := filepath.Join(dir, fmt.Sprintf(".%s.%016x.platypus", name, rand.Uint64()))
	inProgress.Lock()
	inProgress.files[temporary] = true
	rememberDir(filepath.Clean(dir))
	inProgress.Unlock()
	defer func() {
		inProgress.Lock()
		delete(inProgress.files, temporary)
		inProgress.Unlock()
	}()
	err := write(temporary)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary) // what stays is swept later
	}
	return err
}

// RemoveLeftovers removes from dir, not from below it, the files and links that a killed process of ours left half done. What
// this process has under way stays; should another one still be at work, its write fails and is tried again.
func RemoveLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // then nothing of ours can be there
	}
	if err != nil {
		return fmt.Errorf("sweep %s: %w", dir, err)
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(filepath.Clean(dir), e.Name())
		if !tempName.MatchString(e.Name()) || !e.Type().IsRegular() && e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		inProgress.Lock()
		if !inProgress.files[path] {
			err = os.Remove(path)
		}
		inProgress.Unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("sweep %s: %w", dir, withoutTempName(err)))
		}
	}
	return errors.Join(errs...)
}

// InProgress reports whether path is what this process is making at this moment, on its way to another name.
func InProgress(path string) bool {
	inProgress.Lock()
	defer inProgress.Unlock()
	return inProgress.files[filepath.Clean(path)]
}

// maxDirs bounds the list of directories that [RemoveAllLeftovers] goes through.
const maxDirs = 4096

// RemoveAllLeftovers sweeps every directory that the file list names, and from now on keeps there in which directories this
// process writes, before it does. It is to be called once, when it is certain that the process before is gone. The
// list is a cache: without it, what was left lies there until something is written beside it again.
func RemoveAllLeftovers(list string) error {
	var errs []error
	dirs := map[string]bool{}
	data, err := os.ReadFile(list)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan() && len(dirs) < maxDirs; {
		dir := lines.Text()
		if _, err := os.Lstat(dir); err != nil || !filepath.IsAbs(dir) || filepath.Clean(dir) != dir {
			continue // gone, or a damaged line
		}
		dirs[dir] = true
		errs = append(errs, RemoveLeftovers(dir))
	}
	dirs[filepath.Dir(list)] = true
	errs = append(errs, RemoveLeftovers(filepath.Dir(list)))
	if text := strings.Join(slices.Sorted(maps.Keys(dirs)), "\n") + "\n"; text != string(data) {
		errs = append(errs, WriteFile(list, []byte(text), 0o600))
	}
	inProgress.Lock()
	defer inProgress.Unlock()
	inProgress.list, inProgress.dirs = list, dirs
	return errors.Join(errs...)
}

// rememberDir adds a directory to the list, and sweeps it: it may be one that was forgotten. The caller holds the lock. That it
// cannot be kept must not keep anything from being written.
func rememberDir(dir string) {
	if inProgress.list == "" || inProgress.dirs[dir] || strings.Contains(dir, "\n") {
		return
	}
	inProgress.dirs[dir] = true
	f, err := os.OpenFile(inProgress.list, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(dir + "\n")
	_ = f.Sync()
}

// withoutTempName takes the random name out of an error, so that the same fault is told the same way every time.
func withoutTempName(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	case errors.As(err, &l):
		return fmt.Errorf("%s: %w", l.Op, l.Err)
	}
	return err
}
