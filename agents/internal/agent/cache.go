package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// cached is the last good intent as it is kept in the state directory.
type cached struct {
	Node intent.Name
	Root intent.Prefix
	store.Snapshot
}

func (a *Agent) cachePath() string { return filepath.Join(a.StateDir, "intent.json") }

// remember keeps intent for a start without a store. The first line is the digest of what follows: a damaged wish must
// not be taken for another one.
func (a *Agent) remember(s store.Snapshot) {
	data, err := json.Marshal(cached{a.Node, a.Tree.Intent(), s})
	if err == nil {
		err = host.WriteFile(a.cachePath(), append([]byte(digest(data)+"\n"), data...), 0o600)
	}
	if err != nil {
		a.Log.Warn("", fmt.Sprintf("remember intent: %v", err))
	}
}

// remembered returns the last good intent. A damaged file is moved aside: it is only a cache.
func (a *Agent) remembered() (store.Snapshot, bool) {
	c, err := readCache(a.cachePath())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return store.Snapshot{}, false
	case err != nil:
		aside := fmt.Sprintf("%s.corrupt-%d", a.cachePath(), time.Now().Unix())
		a.Log.Warn("", fmt.Sprintf("read remembered intent: %v; moving it to %s", err, aside))
		_ = os.Rename(a.cachePath(), aside)
		return store.Snapshot{}, false
	}
	return c.Snapshot, c.Node == a.Node && c.Root == a.Tree.Intent()
}

func readCache(path string) (c cached, err error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	sum, data, _ := bytes.Cut(file, []byte("\n"))
	if string(sum) != digest(data) {
		return c, errors.New("it is damaged: its digest differs")
	}
	return c, json.Unmarshal(data, &c)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
