package embedded

import (
	"os"
	"syscall"
)

// flush brings the content of a file of fixed size to the disk.
func flush(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
