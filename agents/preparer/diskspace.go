package main

import (
	"encoding/binary"
	"os"
	"syscall"

	"github.com/platypus-platform/platypus/agents/internal/fetch"
)

const (
	spareBytes  = 16 << 20 // never filled by us
	spareInodes = 256      // fewer free ones than that, and an install is not begun
)

// checkSpace refuses what certainly has no room below dir: need is in bytes. A file system that counts no inodes says
// 0.
func checkSpace(dir string, need int64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return os.NewSyscallError("statfs", err)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	if free < need+spareBytes {
		return stepErrorf(NoSpace, "%s needs %s and has less", dir, bytesText(need+spareBytes))
	}
	if st.Files > 0 && int64(st.Ffree) < spareInodes {
		return stepErrorf(NoSpace, "%s has hardly any inodes left", dir)
	}
	return nil
}

// unpackedSize guesses how much an artifact unpacks to: gzip ends with its plain size modulo 4 GiB, which is right for
// the usual single member. It is a guess for a check that spares work; the disk itself has the last word.
func unpackedSize(f *fetch.File) int64 {
	var head, tail [4]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || head[0] != 0x1f || head[1] != 0x8b {
		return f.Size
	}
	if _, err := f.ReadAt(tail[:], f.Size-4); err != nil {
		return f.Size
	}
	plain := int64(binary.LittleEndian.Uint32(tail[:]))
	if plain > 200*f.Size { // more than an archive may unpack to, so it is no size
		return f.Size
	}
	return max(f.Size, plain)
}
