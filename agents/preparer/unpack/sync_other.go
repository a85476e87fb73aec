//go:build !linux

package unpack

import (
	"os"
	"time"
)

// Sync brings everything written below dir to the disk, file by file: syncfs exists on Linux only.
func Sync(dir string) error { return syncEach(dir) }

func setTime(_ *os.File, dir *os.Root, base string, at time.Time) error {
	return dir.Chtimes(base, at, at)
}
