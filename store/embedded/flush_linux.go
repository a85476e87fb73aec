package embedded

import (
	"os"
	"syscall"
)

// flush makes the content of a file of fixed size durable.
func flush(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
