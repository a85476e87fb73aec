package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// withChecksum prefixes a value with a CRC-32C over key and value.
func withChecksum(key string, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum([]byte(key), crcTable), crcTable, value)
	return append(binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(value)), sum), value...)
}

// verifyChecksum returns the value without its checksum, or an error if the checksum does not match.
func verifyChecksum(key, raw []byte) ([]byte, error) {
	if len(raw) < 4 {
		return nil, fmt.Errorf("record %q: %w", key, errTruncated)
	}
	value := raw[4:]
	if crc32.Update(crc32.Checksum(key, crcTable), crcTable, value) != binary.LittleEndian.Uint32(raw) {
		return nil, fmt.Errorf("record %q: checksum differs", key)
	}
	return value, nil
}
