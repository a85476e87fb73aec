// Package host is how agents write files and run commands.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile puts data at path so that after a crash at any moment either the old or the new content is there whole.
// What a crash leaves beside it is found again by [RemoveLeftovers].
func WriteFile(path string, data []byte, mode os.FileMode) error {
	if err := replaceAtomically(path, func(temporary string) error { return writeNew(temporary, data, mode) }); err != nil {
		return fmt.Errorf("write %s: %w", path, withoutTempName(err))
	}
	return SyncDir(filepath.Dir(path))
}

// writeNew makes a file that was not there, with its content on the disk. The mode holds whatever the umask is.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode&0o700)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// SwapLink makes link point to target in one step, whether or not it pointed elsewhere before. Something at link that
// is not a link is left alone and an error. What a crash leaves beside it is found again by [RemoveLeftovers].
func SwapLink(link, target string) error {
	at, err := os.Lstat(link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.Symlink(target, link)
	case err == nil && at.Mode()&os.ModeSymlink == 0:
		return fmt.Errorf("link %s to %s: %s is in its place: move it away", link, target, at.Mode().Type())
	case err == nil:
		err = replaceAtomically(link, func(temporary string) error { return os.Symlink(target, temporary) })
	}
	if err != nil {
		return fmt.Errorf("link %s to %s: %w", link, target, withoutTempName(err))
	}
	return SyncDir(filepath.Dir(link))
}
