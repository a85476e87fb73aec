package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/platypus-platform/platypus/agents/internal/host"
)

// StateSuffix ends the name of the file that holds the state of a partial file.
const StateSuffix = ".json"

// partial is content on its way: the bytes so far, their digest, and what the server called them.
type partial struct {
	file  *os.File
	path  string
	sum   hash.Hash
	size  int64
	state partialState
}

// partialState is the state beside a partial file. The address is kept as a digest, for it may hold credentials.
type partialState struct {
	Address  string `json:"address"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"last_modified,omitempty"`
	Total    int64  `json:"total"` // -1 when the server does not say
}

// validator returns what If-Range may carry: a strong ETag, else a date. Without one nothing can be resumed.
func (t partialState) validator() string {
	if t.ETag != "" {
		return t.ETag
	}
	return t.Modified
}

func addressDigest(url string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:])
}

// openPartial picks up what an earlier attempt left, as far as it belongs to the same address and can be resumed.
func openPartial(path, url string) (*partial, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	// The lock keeps a second transfer, of this process or of another, from mixing its bytes in. It falls with the
	// file.
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		f.Close()
		return nil, errors.New("another transfer writes the partial file")
	}
	p := &partial{file: f, path: path, sum: sha256.New(), state: partialState{Address: addressDigest(url), Total: -1}}
	var kept partialState
	data, err := os.ReadFile(path + StateSuffix)
	usable := err == nil && json.Unmarshal(data, &kept) == nil && kept.Address == p.state.Address && kept.validator() != ""
	if usable {
		p.state = kept
		p.size, err = io.Copy(p.sum, f)
		usable = err == nil && (kept.Total < 0 || p.size <= kept.Total)
	}
	if usable {
		return p, nil
	}
	if err := p.restart(); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

// restart throws away what was fetched.
func (p *partial) restart() error {
	p.size, p.state = 0, partialState{Address: p.state.Address, Total: -1}
	p.sum.Reset()
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// setState remembers what the server calls the content, so that it can be asked for the rest of it after a restart.
func (p *partial) setState(t partialState) error {
	if t == p.state {
		return nil
	}
	p.state = t
	data, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return host.WriteFile(p.path+StateSuffix, data, 0o600)
}

func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.sum.Write(b[:n])
	p.size += int64(n)
	return n, err
}

// done hands the finished file to the reader.
func (p *partial) done() (*File, error) {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return &File{File: p.file, Size: p.size, SHA256: hex.EncodeToString(p.sum.Sum(nil))}, nil
}

// Discard removes a partial file and the state beside it; that there is none is no error. A caller does so when the
// content is used, and when its digest is wrong: resuming bad content would only bring it back.
func Discard(path string) error {
	var errs []error
	for _, p := range []string{path, path + StateSuffix} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
