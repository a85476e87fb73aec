// Package host is how agents write files and run commands.
package host

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// WriteFile puts data at path so that after a crash at any moment either the old or the new content is there whole.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	beside := renameio.WithTempDir(filepath.Dir(path)) // never elsewhere: content may be secret, and /tmp is everybody's
	if err := renameio.WriteFile(path, data, mode, renameio.IgnoreUmask(), beside); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
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
// is not a link is left alone and an error.
func SwapLink(link, target string) error {
	if at, err := os.Lstat(link); err == nil && at.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("link %s to %s: %s is in its place: move it away", link, target, at.Mode().Type())
	}
	if err := renameio.Symlink(target, link); err != nil {
		return fmt.Errorf("link %s to %s: %w", link, target, err)
	}
	return SyncDir(filepath.Dir(link))
}
