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

// tempName matches the temporary names of files and links that are being written. No other program makes such names.
var tempName = regexp.MustCompile(`^\..+\.[0-9a-f]{16}\.platypus$`)

// inProgress holds what this process is writing, and where it has written: [RemoveLeftovers] must not remove what
// another goroutine is about to rename.
var inProgress = struct {
	sync.Mutex
	files map[string]bool // temporary paths
	dirs  map[string]bool // directories that the list names
	list  string          // see RemoveAllLeftovers; "" keeps none
}{files: map[string]bool{}, dirs: map[string]bool{}}

// replaceAtomically lets write create a temporary entry in path's directory, and renames it to path.
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
		_ = os.Remove(temporary) // a leftover is removed later
	}
	return err
}

// RemoveLeftovers removes from dir, not from below it, the temporary files and links that a killed agent left. Those
// that this process is writing stay; if another process is still writing, its write fails and is retried.
func RemoveLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // then no leftover of this user is there
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

// InProgress reports whether path is a temporary entry that this process is writing.
func InProgress(path string) bool {
	inProgress.Lock()
	defer inProgress.Unlock()
	return inProgress.files[filepath.Clean(path)]
}

// maxDirs bounds the list of directories that [RemoveAllLeftovers] goes through.
const maxDirs = 4096

// RemoveAllLeftovers calls [RemoveLeftovers] for every directory that the file list names, and from now on records
// there the directories that this process writes to. Call it once, when the previous process has certainly ended. The
// list is a cache: without it, a leftover stays until something is written to its directory again.
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

// rememberDir adds a directory to the list. The caller holds the lock. A failure must not prevent the write.
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

// withoutTempName removes the random name from an error, so that a repeated fault has the same text.
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
