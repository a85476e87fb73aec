package main

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strconv"
	"syscall"
	"unsafe"
)

// What the legacy back-end has in the kernel is one block of memory for each table, which a raw socket shows. To read
// it takes no program, so that a pass costs next to nothing; [parseTable] understands of it just what this agent
// writes. Whatever else stands there, iptables-save is asked.

// The numbers of the kernel's interface.
const (
	getInfo    = 64 // IPT_SO_GET_INFO, IP6T_SO_GET_INFO
	getEntries = 65
	infoSize   = 84 // struct ipt_getinfo
	headSize   = 40 // of struct ipt_get_entries, before the entries
	maxTable   = 64 << 20
)

// seed makes sums of tables differ from those of another process, which nobody compares.
var seed = maphash.MakeSeed()

// readTable returns table filter of the legacy back-end as it is at one moment, in buffer when that is large enough. ok
// is false when the kernel does not show it.
func readTable(family Family, buffer []byte) (t xtable, ok bool) {
	domain, level := syscall.AF_INET, syscall.SOL_IP
	if family == V6 {
		domain, level = syscall.AF_INET6, syscall.SOL_IPV6
	}
	fd, err := syscall.Socket(domain, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_RAW)
	if err != nil || strconv.IntSize != 64 {
		return t, false
	}
	defer syscall.Close(fd)
	var before, after [infoSize]byte
	copy(before[:], "filter")
	copy(after[:], "filter")
	if !ask(fd, level, getInfo, before[:]) {
		return t, false
	}
	size := int(binary.NativeEndian.Uint32(before[80:]))
	if size <= 0 || size > maxTable {
		return t, false
	}
	if cap(buffer) < headSize+size {
		buffer = make([]byte, headSize+size+size/4)
	}
	buffer = buffer[:headSize+size]
	clear(buffer[:headSize])
	copy(buffer, "filter")
	binary.NativeEndian.PutUint32(buffer[32:], uint32(size))
	// The kernel refuses when the size has changed; when it has not, where chains begin must still be what was said.
	if !ask(fd, level, getEntries, buffer) || !ask(fd, level, getInfo, after[:]) || !bytes.Equal(before[:], after[:]) {
		return t, false
	}
	t = xtable{family: family, buffer: buffer, entries: buffer[headSize:],
		input:  int(binary.NativeEndian.Uint32(before[36+4*localIn:])),
		policy: int(binary.NativeEndian.Uint32(before[56+4*localIn:]))}
	if !t.locateChain() {
		return t, false
	}
	t.sum = maphash.Bytes(seed, t.entries)
	return t, true
}

// ask reads one option of a socket into b, all of it.
func ask(fd, level, option int, b []byte) bool {
	size := uint32(len(b))
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0 && int(size) == len(b)
}
