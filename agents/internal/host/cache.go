package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// ErrDamaged is the error of a cache whose content is not what was written.
var ErrDamaged = errors.New("it is damaged: its digest differs")

// WriteCache keeps v as JSON at path, readable by the owner alone. The first line is the digest of what follows: what
// is damaged must not be taken for something else.
func WriteCache(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return WriteFile(path, append([]byte(digest(data)+"\n"), data...), 0o600)
}

// ReadCache reads what WriteCache kept. Without a file the error is fs.ErrNotExist; v is then as it was, and so it is
// with what is damaged, which may be put out of the way by [Aside].
func ReadCache(path string, v any) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sum, data, _ := bytes.Cut(file, []byte("\n"))
	if string(sum) != digest(data) {
		return fmt.Errorf("read %s: %w", path, ErrDamaged)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// Aside renames a file that cannot be used, for people to look at, and returns its new name.
func Aside(path string) (string, error) {
	aside := fmt.Sprintf("%s.corrupt-%d", path, time.Now().Unix())
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return aside, err
	}
	return aside, nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
