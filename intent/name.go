package intent

import (
	"fmt"
	"strings"
)

// MaxName is the maximum length of a name in bytes.
const MaxName = 128

// Name is one segment of a key or of a path: an app, a cluster, a version, a node. Names made by [ParseName] match
// [A-Za-z0-9][A-Za-z0-9._-]{0,127} and contain no "..", so that they can be joined into a path directly.
type Name string

// ParseName returns s as a Name, or an error that says which rule it breaks.
func ParseName(s string) (Name, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("a name must not be empty")
	case len(s) > MaxName:
		return "", fmt.Errorf("name of %d bytes is too long: at most %d are allowed", len(s), MaxName)
	case strings.Contains(s, ".."):
		return "", fmt.Errorf("name %q must not hold \"..\"", s)
	case !alphanumeric(s[0]):
		return "", fmt.Errorf("name %q must begin with a letter or a digit", s)
	}
	for _, r := range s {
		if r >= 0x80 || !alphanumeric(byte(r)) && !strings.ContainsRune("._-", r) {
			return "", fmt.Errorf("name %q holds %q: only A-Z a-z 0-9 . _ - are allowed", s, r)
		}
	}
	return Name(s), nil
}

// UnmarshalText lets a Name be used as a flag or a JSON member; it applies the rules of [ParseName].
func (n *Name) UnmarshalText(text []byte) (err error) {
	*n, err = ParseName(string(text))
	return err
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Prefix is a part of the tree: "" for all of it, otherwise a string that ends in "/". The slash is part of the type so
// that a read of web1 cannot match web10.
type Prefix string

// Join returns the prefix below p named by the segments.
func (p Prefix) Join(segments ...Name) Prefix {
	for _, s := range segments {
		p += Prefix(s) + "/"
	}
	return p
}

// Key returns the key below p with that name.
func (p Prefix) Key(name Name) string { return string(p) + string(name) }

// Below returns the part of key after p, and whether key lies below p.
func (p Prefix) Below(key string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(key, string(p))
	return rest, ok && rest != ""
}
