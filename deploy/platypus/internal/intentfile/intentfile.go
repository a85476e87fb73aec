// Package intentfile reads intent out of files. It knows three forms: one JSON object of keys below intent/ to values,
// a directory of <key>.json files, and what `consul kv export` writes. Each value remembers where it stood, so that a
// mistake in it can be shown where the author sees it.
package intentfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// maxFile bounds one file in bytes: 64 values of the largest size, in base64, fit in.
const maxFile = 64 << 20

// Entry is one key with the value that a file gives it.
type Entry struct {
	Key    string // below the intent prefix, such as "nodes/web1/slug"
	Value  []byte // as it stands in the file; nil when Delete
	Delete bool   // the file says null: the key shall go
	Place  Place  // where the value begins
}

// Made returns an entry for a value that no file holds. Its place is the value itself.
func Made(key string, value []byte) Entry {
	s := &source{name: key, data: value}
	return Entry{Key: key, Value: value, Place: s.at(0)}
}

// Files is all that was read.
type Files struct {
	Entries []Entry  // in the order of the files
	Notes   []string // what was left out, in words
}

// Reader reads files for one tree. Stdin is read for the name "-".
type Reader struct {
	Tree  intent.Tree
	Stdin io.Reader
}

// Read reads every file named. An error says which file cannot be read as a whole; what is wrong with a value is for
// [Check] to say. A key may stand in them only once.
func (r Reader) Read(names ...string) (Files, error) {
	var all Files
	first := map[string]Place{}
	for _, name := range names {
		if err := r.one(&all, name); err != nil {
			return Files{}, err
		}
	}
	for _, e := range all.Entries {
		if before, twice := first[e.Key]; twice {
			return Files{}, e.Place.Errorf("key %q was given before at %s: keep one", e.Key, before)
		}
		first[e.Key] = e.Place
	}
	return all, nil
}

func (r Reader) one(all *Files, name string) error {
	if name == "-" {
		data, err := io.ReadAll(io.LimitReader(r.Stdin, maxFile+1))
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		return r.parse(all, "-", data)
	}
	at, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("read intent: %w: name a file, a directory of <key>.json files, or - for standard input", err)
	}
	if at.IsDir() {
		return r.directory(all, name)
	}
	data, err := readFile(name)
	if err != nil {
		return err
	}
	return r.parse(all, name, data)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read intent: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read intent: %w", err)
	}
	return data, nil
}

// parse reads an object of keys to values or an export.
func (r Reader) parse(all *Files, name string, data []byte) error {
	s := &source{name: name, data: data}
	if err := s.sound(); err != nil {
		return err
	}
	switch trimmed := bytes.TrimSpace(data); trimmed[0] {
	case '[':
		return r.export(all, s)
	case '{':
		return r.object(all, s)
	}
	return s.at(0).Errorf("an object of keys to values is expected, such as {\"nodes/web1/slug\": {\"cluster\": \"production\"}}")
}

func (r Reader) object(all *Files, s *source) error {
	dec := json.NewDecoder(bytes.NewReader(s.data))
	_, _ = dec.Token() // the brace: s is sound
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		keyEnd := int(dec.InputOffset())
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
		key, _ := token.(string)
		at := int(dec.InputOffset()) - len(value)
		if key == "$schema" {
			continue
		}
		if !strings.Contains(key, "/") {
			return s.at(keyEnd-2-len(key)).Errorf("%q is not a key below intent/: a file maps keys such as "+
				"\"nodes/web1/slug\" or \"clusters/slug/production/config\" to values", key)
		}
		r.add(all, key, value, s.at(at))
	}
	return nil
}

func (r Reader) directory(all *Files, dir string) error {
	before := len(all.Entries)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("read intent: %w", err)
		case d.IsDir() && path != dir && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || strings.HasPrefix(d.Name(), "."):
			return nil
		case !strings.HasSuffix(path, ".json"):
			all.Notes = append(all.Notes, fmt.Sprintf("%s is left out: only <key>.json files are read", path))
			return nil
		}
		data, err := readFile(path)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(dir, strings.TrimSuffix(path, ".json"))
		if err != nil {
			return fmt.Errorf("read intent: %w", err)
		}
		s := &source{name: path, data: data}
		if err := s.misplaced(dir, filepath.ToSlash(key)); err != nil {
			return err
		}
		r.add(all, filepath.ToSlash(key), data, s.at(0))
		return nil
	})
	if err == nil && len(all.Entries) == before {
		err = fmt.Errorf("read intent: no <key>.json file below %s: such as %s", dir, filepath.Join(dir, "nodes/web1/slug.json"))
	}
	return err
}

// misplaced says so when a file of a directory is not the value of a key: the directory above that of the keys was named,
// or a file that holds many keys lies in it.
func (s *source) misplaced(dir, key string) error {
	folder, below, _ := strings.Cut(key, "/")
	if intent.IsFolder(folder) {
		return nil
	}
	if folder, _, _ = strings.Cut(below, "/"); strings.HasPrefix(key, "intent/") && intent.IsFolder(folder) {
		return fmt.Errorf("read intent: the keys of %s are below %s: name that directory", dir, filepath.Join(dir, "intent"))
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(s.data, &object) != nil {
		return nil
	}
	for member := range object {
		if folder, _, _ := strings.Cut(member, "/"); intent.IsFolder(folder) && folder != member {
			return s.at(0).Errorf("this looks like an intent file, which holds many keys, in a directory of <key>.json files: name it itself, %s", s.name)
		}
	}
	return nil
}

// add takes a key with or without the prefix of intent, and leaves out what agents write.
func (r Reader) add(all *Files, key string, value []byte, at Place) {
	if below, ok := r.Tree.Intent().Below(key); ok {
		key = below
	} else if _, own := r.Tree.Own().Below(key); own {
		all.Notes = append(all.Notes, fmt.Sprintf("%s is left out: agents write it", key))
		return
	}
	if r.Tree.Intent() == "" {
		if _, own := r.Tree.Own().Below(key); own {
			all.Notes = append(all.Notes, fmt.Sprintf("%s is left out: agents write it", key))
			return
		}
	}
	e := Entry{Key: key, Value: value, Place: at}
	if string(bytes.TrimSpace(value)) == "null" {
		e.Value, e.Delete = nil, true
	}
	all.Entries = append(all.Entries, e)
}
