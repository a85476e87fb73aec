// Package intentfile reads intent from files in three forms: one JSON object of keys below intent/ to values, a
// directory of <key>.json files, and the output of `consul kv export`. Each value keeps its position, so that errors
// can point into the author's file.
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

// maxFile is the size limit of one file in bytes: enough for 64 values of the largest size in base64.
const maxFile = 64 << 20

// Entry is one key and the value that a file declares for it.
type Entry struct {
	Key      string   // below the intent prefix, such as "nodes/web1/slug"
	Value    []byte   // as it stands in the file; nil if Delete
	Delete   bool     // the file has null: remove the key
	Position Position // where the value begins
}

// NewEntry returns an entry for a generated value. Its position is within the value itself.
func NewEntry(key string, value []byte) Entry {
	s := &source{name: key, data: value}
	return Entry{Key: key, Value: value, Position: s.at(0)}
}

// Files is everything that was read.
type Files struct {
	Entries []Entry  // in the order of the files
	Notes   []string // messages about skipped files
}

// Reader reads files for one tree. The name "-" means Stdin.
type Reader struct {
	Tree  intent.Tree
	Stdin io.Reader
}

// Read reads every file named. Its error concerns a file as a whole; [Check] reports problems of values. A key may
// occur only once.
func (r Reader) Read(names ...string) (Files, error) {
	var all Files
	first := map[string]Position{}
	for _, name := range names {
		if err := r.readOne(&all, name); err != nil {
			return Files{}, err
		}
	}
	for _, e := range all.Entries {
		if before, twice := first[e.Key]; twice {
			return Files{}, e.Position.Errorf("key %q was given before at %s: keep one", e.Key, before)
		}
		first[e.Key] = e.Position
	}
	return all, nil
}

func (r Reader) readOne(all *Files, name string) error {
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
		return r.readDirectory(all, name)
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

// parse reads an object of keys to values, or an export.
func (r Reader) parse(all *Files, name string, data []byte) error {
	s := &source{name: name, data: data}
	if err := s.checkSyntax(); err != nil {
		return err
	}
	switch trimmed := bytes.TrimSpace(data); trimmed[0] {
	case '[':
		return r.readExport(all, s)
	case '{':
		return r.readObject(all, s)
	}
	return s.at(0).Errorf("an object of keys to values is expected, such as {\"nodes/web1/slug\": {\"cluster\": \"production\"}}")
}

func (r Reader) readObject(all *Files, s *source) error {
	dec := json.NewDecoder(bytes.NewReader(s.data))
	_, _ = dec.Token() // the brace: checkSyntax has accepted the text
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

func (r Reader) readDirectory(all *Files, dir string) error {
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
		if err := s.checkMisplaced(dir, filepath.ToSlash(key)); err != nil {
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

// checkMisplaced reports a file of a directory that is not the value of a key: the parent of the key directory was
// named, or the file holds many keys.
func (s *source) checkMisplaced(dir, key string) error {
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

// add accepts a key with or without the prefix of intent, and skips keys that agents write.
func (r Reader) add(all *Files, key string, value []byte, at Position) {
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
	e := Entry{Key: key, Value: value, Position: at}
	if string(bytes.TrimSpace(value)) == "null" {
		e.Value, e.Delete = nil, true
	}
	all.Entries = append(all.Entries, e)
}
