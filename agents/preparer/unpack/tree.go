package unpack

import (
	"path"
	"strings"
)

type kind uint8

const (
	absent kind = iota
	directory
	file
	link
)

// tree remembers what the archive has made so far. Since nobody else writes in the staging directory, it is the
// truth about the disk, and every rule is decided on it before the disk is touched.
type tree struct {
	limits        Limits
	kinds         map[string]kind
	nameBytes     int               // bytes of names in kinds
	dir           string            // the directory whose parents were checked last
	deferredLinks map[string]string // links whose target has ".." behind a name
	count         int
}

func newTree(lim Limits) *tree {
	return &tree{limits: lim, kinds: map[string]kind{}, dir: ".", deferredLinks: map[string]string{}}
}

// add counts one entry and the memory of its name.
func (t *tree) add(name string, k kind) error {
	t.kinds[name] = k
	if t.nameBytes += len(name); t.nameBytes > namesTotal {
		return refusef(name, TooLong, "all names together exceed %d bytes", namesTotal)
	}
	return t.countEntry(name)
}

func (t *tree) countEntry(name string) error {
	if t.count++; t.count > t.limits.Entries {
		return refusef(name, TooMany, "limit %d", t.limits.Entries)
	}
	return nil
}

// missingDirs returns the directories, outermost first, that have to be made before name can be, and remembers them.
func (t *tree) missingDirs(name string) ([]string, error) {
	dir := path.Dir(name)
	if dir == t.dir || dir == "." {
		return nil, nil
	}
	var made []string
	for i := 0; i <= len(dir); i++ {
		if i < len(dir) && dir[i] != '/' {
			continue
		}
		switch prefix := dir[:i]; t.kinds[prefix] {
		case directory:
		case link:
			return nil, refusef(name, ThroughLink, "%.200q", prefix)
		case file:
			return nil, refusef(name, Clash, "%.200q is a file", prefix)
		default:
			if err := t.add(prefix, directory); err != nil {
				return nil, err
			}
			made = append(made, prefix)
		}
	}
	t.dir = dir
	return made, nil
}

// checkDeferredLinks takes the second look at links with ".." behind a name: what stands before a ".." must not be a link.
func (t *tree) checkDeferredLinks() error {
	for name, target := range t.deferredLinks {
		if err := t.checkLinkPath(name, target); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) checkLinkPath(name, target string) error {
	last := strings.LastIndex("/"+target+"/", "/../")
	at := strings.Split(name, "/")
	at = at[:len(at)-1]
	rest := target
	for passed := 0; passed < last; {
		part, tail, _ := strings.Cut(rest, "/")
		passed += len(part) + 1
		rest = tail
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return refusef(name, LinkEscapes, "%.200q", target)
			}
			at = at[:len(at)-1]
			continue
		}
		at = append(at, part)
		if t.kinds[strings.Join(at, "/")] == link {
			return refusef(name, LinkEscapes, "%.200q climbs behind a link", target)
		}
	}
	return nil
}
