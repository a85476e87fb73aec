package seal

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
)

// Current is the identity of this node as its files have it. It is safe for use by many goroutines.
type Current struct {
	files Files
	host  string

	mu     sync.Mutex
	now    *Identity
	before *Identity // until the next renewal
	stamp  [sha256.Size]byte
}

// Open reads the identity of the node that others reach at host.
func Open(f Files, host string) (*Current, error) {
	c := &Current{files: f, host: host}
	stamp := f.stamp()
	now, err := Read(f, host)
	if err != nil {
		return nil, err
	}
	c.now, c.stamp = now, stamp
	return c, nil
}

// stamp changes when a file does. It goes by the content: of two files that are written one right after the other, the
// times may be the same.
func (f Files) stamp() (s [sha256.Size]byte) {
	sum := sha256.New()
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		content, err := os.ReadFile(path)
		fmt.Fprintln(sum, len(content), err != nil)
		sum.Write(content)
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// Refresh reads the files again if one has changed, and reports whether the identity is another now. On error the node
// goes on with what it has: the files may be half renewed.
func (c *Current) Refresh() (changed bool, err error) {
	stamp := c.files.stamp()
	c.mu.Lock()
	defer c.mu.Unlock()
	if stamp == c.stamp {
		return false, nil
	}
	next, err := Read(c.files, c.host)
	if err != nil {
		return false, err
	}
	c.stamp = stamp
	if next.name() == c.now.name() && string(next.Roots) == string(c.now.Roots) && len(next.Chain) == len(c.now.Chain) {
		return false, nil
	}
	c.now, c.before = next, c.now
	return true, nil
}

// Identity is that of now.
func (c *Current) Identity() *Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Client is the configuration of connections of the agent's own.
func (c *Current) Client() (*tls.Config, error) {
	now := c.Identity()
	return now.Client(now.key)
}

func (c *Current) keyOf(of name) crypto.Signer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range []*Identity{c.now, c.before} {
		if i != nil && i.name() == of {
			return i.key
		}
	}
	return nil
}
