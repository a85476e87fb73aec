//go:build !linux

package embedded

import "os"

// flush brings the content of a file to the disk.
func flush(f *os.File) error { return f.Sync() }
