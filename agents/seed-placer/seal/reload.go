package seal

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
)

// Reloader holds the current identity of this node and reloads it from its files. It is safe for concurrent use.
type Reloader struct {
	files Files
	host  string

	mu       sync.Mutex
	current  *Identity
	previous *Identity // until the next reload
	digest   [sha256.Size]byte
}

// OpenReloader reads the identity of the node that others reach at host.
func OpenReloader(f Files, host string) (*Reloader, error) {
	r := &Reloader{files: f, host: host}
	digest := f.contentDigest()
	identity, err := ReadIdentity(f, host)
	if err != nil {
		return nil, err
	}
	r.current, r.digest = identity, digest
	return r, nil
}

// contentDigest identifies the content of the files. Modification times are not enough: two writes in a row may have
// the same.
func (f Files) contentDigest() (s [sha256.Size]byte) {
	sum := sha256.New()
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		content, err := os.ReadFile(path)
		fmt.Fprintln(sum, len(content), err != nil)
		sum.Write(content)
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// Refresh reads the files again if one has changed, and reports whether the identity has changed. On an error the
// previous identity stays: the files may be half written.
func (r *Reloader) Refresh() (changed bool, err error) {
	digest := r.files.contentDigest()
	r.mu.Lock()
	defer r.mu.Unlock()
	if digest == r.digest {
		return false, nil
	}
	next, err := ReadIdentity(r.files, r.host)
	if err != nil {
		return false, err
	}
	r.digest = digest
	if next.fingerprint() == r.current.fingerprint() && string(next.Roots) == string(r.current.Roots) && len(next.Chain) == len(r.current.Chain) {
		return false, nil
	}
	r.current, r.previous = next, r.current
	return true, nil
}

// Identity returns the current identity.
func (r *Reloader) Identity() *Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// ClientConfig returns the configuration of the agent's own connections.
func (r *Reloader) ClientConfig() (*tls.Config, error) {
	now := r.Identity()
	return now.ClientConfig(now.key)
}

func (r *Reloader) keyFor(of fingerprint) crypto.Signer {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range []*Identity{r.current, r.previous} {
		if i != nil && i.fingerprint() == of {
			return i.key
		}
	}
	return nil
}
