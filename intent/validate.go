package intent

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Check returns all problems of the value of a key below the intent prefix, such as "clusters/slug/production/config".
// It needs no store, so that a mistake is found before it is declared.
func Check(key string, data []byte) Problems {
	noun, err := newValueFor(key)
	if err != nil {
		return Problems{{Key: key, Text: err.Error()}}
	}
	problems := decode(key, data, noun)
	if folder, _, _ := strings.Cut(key, "/"); ignoredFolders[folder] {
		text := fmt.Sprintf("nothing reads %s/ yet: what is declared there has no effect, so it is refused", folder)
		problems = append(Problems{{Key: key, Line: 1, Col: 1, Text: text}}, problems...)
	}
	return problems
}

// CheckKey returns an error for an invalid key below the intent prefix, whatever its value.
func CheckKey(key string) error {
	_, err := newValueFor(key)
	return err
}

// ignoredFolders are the folders below the intent prefix that no agent uses yet. The error is about the value, not the
// key, so that existing keys can be removed.
var ignoredFolders = map[string]bool{"services": true, "routes": true}

// Decode reads the value of a key that holds a T, and returns all its problems. If they contain an error, noun is the
// zero T: a partly read value must not be used.
func Decode[T any](key string, data []byte) (noun T, problems Problems) {
	if problems = decode(key, data, &noun); problems.Err() != nil {
		noun = *new(T)
	}
	return noun, problems
}

// folderSegments are the folders below the intent prefix and the number of segments that follow in a key.
var folderSegments = map[string]int{"nodes": 2, "clusters": 3, "regions": 1, "machines": 2, "vms": 1, "seeds": 1, "sites": 1,
	"blobs": 1, "services": 1, "routes": 1}

// IsFolder reports whether a word is a folder below the intent prefix, such as "nodes".
func IsFolder(name string) bool {
	_, known := folderSegments[name]
	return known
}

// newValueFor returns a pointer to the zero value of the type that a key holds.
func newValueFor(key string) (any, error) {
	segments := strings.Split(key, "/")
	for _, s := range segments {
		if _, err := ParseName(s); err != nil {
			return nil, err
		}
	}
	wanted, known := folderSegments[segments[0]]
	if !known {
		return nil, fmt.Errorf("nothing is declared below %q: known are nodes/ clusters/ regions/ machines/ vms/ seeds/ sites/ blobs/", segments[0])
	}
	if len(segments) != wanted+1 {
		return nil, fmt.Errorf("a key below %s/ has %d segments, this one %d", segments[0], wanted+1, len(segments))
	}
	switch {
	case segments[0] == "nodes":
		return &Assignment{}, nil
	case segments[0] == "clusters" && segments[3] == "config":
		return &Config{}, nil
	case segments[0] == "clusters" && segments[3] == "deploy_config":
		return &DeployConfig{}, nil
	case segments[0] == "clusters":
		return nil, fmt.Errorf("a cluster holds config and deploy_config, not %q", segments[3])
	case segments[0] == "seeds":
		return &Seed{}, nil
	case segments[0] == "sites":
		return &Site{}, nil
	case segments[0] == "blobs":
		if !isDigest(segments[1]) {
			return nil, fmt.Errorf("the name of a blob is the 64 hexadecimal digits of its sha256, not %q", segments[1])
		}
		return &Blob{}, nil
	case segments[0] == "regions" && segments[1] == string(AnyRegion):
		return nil, fmt.Errorf("a region cannot be called %q: it stands for every region", AnyRegion)
	case segments[0] == "regions":
		return &Region{}, nil
	case segments[0] == "machines":
		return &Machine{}, nil
	case segments[0] == "vms":
		_, err := ParseVMName(segments[1])
		return &VM{}, err
	}
	return &map[string]json.RawMessage{}, nil
}
