package history

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// chunkSize is the number of commits below one prefix.
const chunkSize = 100

// maxSeq is the highest number that fits into a key.
const maxSeq = 999_999_999_999

func (l *Log) headKey() string      { return l.prefix.Key("head") }
func (l *Log) retentionKey() string { return l.prefix.Key("window") }
func (l *Log) forkKey() string      { return l.prefix.Key("fork") }

func (l *Log) blobKey(sha Hash) string {
	return l.prefix.Join("b").Key(intent.Name(sha.String()))
}

func (l *Log) chunkPrefix(seq uint64) intent.Prefix {
	return l.prefix.Join("c", intent.Name(fmt.Sprintf("%010d", seq/chunkSize)))
}

func (l *Log) commitKey(seq uint64) string {
	return l.chunkPrefix(seq).Key(intent.Name(fmt.Sprintf("%02d", seq%chunkSize)))
}

func (l *Log) partsPrefix(seq uint64) intent.Prefix {
	return l.prefix.Join("cp", intent.Name(fmt.Sprintf("%012d", seq)))
}

// seqOf parses the number of a commit from its key.
func (l *Log) seqOf(key string) (uint64, bool) {
	rest, ok := l.prefix.Join("c").Below(key)
	if !ok || len(rest) != 13 || rest[10] != '/' {
		return 0, false
	}
	seq, err := strconv.ParseUint(rest[:10]+rest[11:], 10, 64)
	return seq, err == nil
}

// errForeign marks a key outside of the tree.
var errForeign = errors.New("it is no key of this tree")

// storePath is the store key of a key of the tree.
func (l *Log) storePath(key string) string { return string(l.tree.Intent()) + key }

// treeKey is the inverse of storePath.
func (l *Log) treeKey(path string) (string, bool) {
	for _, prefix := range l.tree.Declared() {
		if _, ok := prefix.Below(path); ok {
			return strings.TrimPrefix(path, string(l.tree.Intent())), true
		}
	}
	return "", false
}

// checkKey rejects keys that cannot be committed.
func (l *Log) checkKey(key string) error {
	if got, ok := l.treeKey(l.storePath(key)); !ok || got != key || strings.HasSuffix(key, "/") {
		return fmt.Errorf("key %q: %w", key, errForeign)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("key %q: a segment of it is %q", key, segment)
		}
	}
	return nil
}
