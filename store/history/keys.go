package history

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// chunk is how many commits lie below one prefix.
const chunk = 100

// maxSeq is the highest number that a key has room for.
const maxSeq = 999_999_999_999

func (l *Log) headKey() string   { return l.prefix.Key("head") }
func (l *Log) windowKey() string { return l.prefix.Key("window") }
func (l *Log) forkKey() string   { return l.prefix.Key("fork") }

func (l *Log) blobKey(sha Hash) string {
	return l.prefix.Join("b").Key(intent.Name(sha.String()))
}

func (l *Log) chunkPrefix(seq uint64) intent.Prefix {
	return l.prefix.Join("c", intent.Name(fmt.Sprintf("%010d", seq/chunk)))
}

func (l *Log) commitKey(seq uint64) string {
	return l.chunkPrefix(seq).Key(intent.Name(fmt.Sprintf("%02d", seq%chunk)))
}

func (l *Log) partsPrefix(seq uint64) intent.Prefix {
	return l.prefix.Join("cp", intent.Name(fmt.Sprintf("%012d", seq)))
}

// seqOf is the number of the commit that lies at a key.
func (l *Log) seqOf(key string) (uint64, bool) {
	rest, ok := l.prefix.Join("c").Below(key)
	if !ok || len(rest) != 13 || rest[10] != '/' {
		return 0, false
	}
	seq, err := strconv.ParseUint(rest[:10]+rest[11:], 10, 64)
	return seq, err == nil
}

// errForeign is what a key is met with that lies outside of the tree.
var errForeign = errors.New("it is no key of this tree")

// path is where a key of the tree lies in the store.
func (l *Log) path(key string) string { return string(l.tree.Intent()) + key }

// below returns the key within the tree of a key of the store.
func (l *Log) below(path string) (string, bool) {
	for _, prefix := range l.tree.Declared() {
		if _, ok := prefix.Below(path); ok {
			return strings.TrimPrefix(path, string(l.tree.Intent())), true
		}
	}
	return "", false
}

// checkKey refuses keys that cannot be committed.
func (l *Log) checkKey(key string) error {
	if got, ok := l.below(l.path(key)); !ok || got != key || strings.HasSuffix(key, "/") {
		return fmt.Errorf("key %q: %w", key, errForeign)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("key %q: a segment of it is %q", key, segment)
		}
	}
	return nil
}
