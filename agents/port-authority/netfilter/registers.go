//go:build linux

package netfilter

// registers are the kernel's: sixteen of four bytes, of which a number from 1 to 4 names four at once. A word that was
// not loaded, or with something that is not known, is unknown.
type registers struct {
	data  [64]byte
	known [64]bool
}

// at returns where a register begins. ok is false for the register of verdicts and for those that do not exist.
func at(register uint32, length int) (offset int, ok bool) {
	switch {
	case register >= 1 && register <= 4:
		offset = int(register-1) * 16
	case register >= 8 && register < 24:
		offset = int(register-8) * 4
	default:
		return 0, false
	}
	return offset, length >= 0 && offset+length <= 64
}

// load puts data into a register, padded with zeros to whole words as the kernel does. Bytes that are not known make
// nothing of it known when known is false.
func (r *registers) load(register uint32, data []byte, known bool) {
	offset, ok := at(register, len(data))
	if !ok {
		return
	}
	end := min(offset+(len(data)+3)&^3, 64)
	clear(r.data[offset:end])
	copy(r.data[offset:], data)
	for i := offset; i < end; i++ {
		r.known[i] = known
	}
}

// read returns what stands in a register when all of it is known.
func (r *registers) read(register uint32, length int) ([]byte, bool) {
	offset, ok := at(register, length)
	if !ok {
		return nil, false
	}
	for _, known := range r.known[offset : offset+length] {
		if !known {
			return nil, false
		}
	}
	return r.data[offset : offset+length], true
}
