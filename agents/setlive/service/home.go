package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
)

// Names of the files in a service's folder.
const (
	markerName = "platypus.json" // makes the folder ours; written last
	noteName   = "running"       // which process runs what, written by the script
	toldName   = "told"          // which process was told of newer settings, written by setlive
	configName = "config.json"
	endName    = "ended"  // how a process ended last, written by the finish script
	RunName    = "run"    // the script
	FinishName = "finish" // runs after each end
)

// ErrForeign says that something setlive did not write is in the way.
var ErrForeign = errors.New("not written by setlive; move it away")

// Home is the folder of one service, which holds its script, its config and the note of its process. The back-ends
// share its form.
type Home string

// File is one more file of a service's folder, for a back-end that needs it.
type File struct {
	Path string // relative to the folder
	Data []byte
	Mode os.FileMode
}

// marker is the content of the file that makes a folder ours.
type marker struct {
	App         string            `json:"app"`
	Basedir     string            `json:"basedir"`
	Node        string            `json:"node,omitempty"` // that the service was written for; absent when an older version wrote it
	RunAs       string            `json:"run_as,omitempty"`
	Users       []uint32          `json:"users,omitempty"` // ids of RunAs and of the user before it; absent when an older version wrote it
	StopTimeout time.Duration     `json:"stop_timeout,omitempty"`
	Fingerprint string            `json:"fingerprint"`
	Files       map[string]string `json:"files"` // SHA-256 of each
}

// Write makes the folder hold the service, whole from the first moment on, and reports whether anything was written.
func (h Home) Write(s Spec, more ...File) (bool, error) {
	if err := s.check(); err != nil {
		return false, fmt.Errorf("write service %s: %w", s.App, err)
	}
	files, err := h.files(s, more)
	if err != nil {
		return false, fmt.Errorf("write service %s: %w", s.App, err)
	}
	owned, err := h.Owned()
	if err != nil {
		return false, fmt.Errorf("write service %s: %w", s.App, err)
	}
	if owned {
		return h.update(s, files)
	}
	_, err = os.Lstat(string(h))
	switch there, err := There(err); {
	case err != nil:
		return false, fmt.Errorf("write service %s: %w", s.App, err)
	case there:
		return false, fmt.Errorf("write service %s: %s: %w", s.App, h, ErrForeign)
	}
	return true, h.create(s, files)
}

func (h Home) files(s Spec, more []File) ([]File, error) {
	run, err := script(string(h), s)
	if err != nil {
		return nil, err
	}
	users, err := h.users(s)
	if err != nil {
		return nil, err
	}
	m := marker{App: s.App, Basedir: s.Basedir, Node: s.Node, RunAs: s.RunAs, Users: users, StopTimeout: s.StopTimeout,
		Fingerprint: s.Fingerprint(), Files: map[string]string{}}
	files := append([]File{{configName, s.config(), 0o640}}, more...)
	files = append(files, File{RunName, run, 0o755}, File{FinishName, finish(string(h), s), 0o755})
	for _, f := range files {
		m.Files[f.Path] = sum(f.Data)
	}
	data, err := json.MarshalIndent(m, "", "\t")
	return append(files, File{markerName, append(data, '\n'), 0o644}), err
}

// create builds the folder beside its place and moves it there.
func (h Home) create(s Spec, files []File) error {
	parent, name := filepath.Split(string(h))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("write service %s: %w", s.App, err)
	}
	draft := filepath.Join(parent, "."+name+".new") // one setlive runs at a time: what lies here was left by a crash
	if err := os.RemoveAll(draft); err != nil {
		return fmt.Errorf("write service %s: %w", s.App, err)
	}
	for _, f := range files {
		path := filepath.Join(draft, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write service %s: %w", s.App, err)
		}
		if err := put(path, f, s.RunAs); err != nil {
			return err
		}
	}
	if err := os.Rename(draft, string(h)); err != nil {
		return fmt.Errorf("write service %s: %w", s.App, err)
	}
	return host.SyncDir(parent)
}

func (h Home) update(s Spec, files []File) (changed bool, err error) {
	for _, f := range files {
		path := filepath.Join(string(h), f.Path)
		if same, err := stands(path, f, s.RunAs); err != nil || same {
			if err != nil {
				return changed, err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return changed, fmt.Errorf("write service %s: %w", s.App, err)
		}
		if err := put(path, f, s.RunAs); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

// stands reports whether a file is already as it shall be.
func stands(path string, f File, runAs string) (bool, error) {
	group, err := groupOf(f, runAs)
	if err != nil {
		return false, err
	}
	have, err := os.ReadFile(path)
	if there, err := There(err); !there || !bytes.Equal(have, f.Data) {
		return false, err
	}
	at, err := os.Stat(path)
	if there, err := There(err); !there || at.Mode().Perm() != f.Mode {
		return false, err
	}
	owner, ok := at.Sys().(*syscall.Stat_t)
	return ok && (group < 0 || int(owner.Gid) == group), nil
}

// put writes one file.
func put(path string, f File, runAs string) error {
	group, err := groupOf(f, runAs)
	if err != nil {
		return err
	}
	if err := host.WriteFile(path, f.Data, f.Mode); err != nil || group < 0 {
		return err
	}
	return os.Chown(path, 0, group)
}

// groupOf returns the group that a file shall belong to, -1 for any. The config may hold what others on the host
// should not read, so it belongs to the app's group.
func groupOf(f File, runAs string) (int, error) {
	if f.Path != configName || runAs == "" || os.Geteuid() != 0 {
		return -1, nil
	}
	u, err := lookup(runAs)
	if err != nil {
		return -1, err
	}
	group, err := strconv.Atoi(u.Gid)
	if err != nil {
		return -1, fmt.Errorf("read group of %s: %w", runAs, err)
	}
	return group, nil
}

func (h Home) marker() (m marker, err error) {
	data, err := os.ReadFile(filepath.Join(string(h), markerName))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil || m.App == "" {
		m = marker{App: filepath.Base(string(h))} // ours, but damaged
	}
	return m, nil
}

// Owned reports whether the folder is there and was written by setlive. Its error is [ErrUnseen].
func (h Home) Owned() (bool, error) {
	_, err := h.marker()
	return There(err)
}

// State returns what the folder alone says of its service, none when it is not ours. Its error is [ErrUnseen].
func (h Home) State() (State, error) {
	m, err := h.marker()
	if there, err := There(err); !there {
		return State{}, err
	}
	s := State{App: filepath.Base(string(h)), Basedir: m.Basedir, Node: m.Node, RunAs: m.RunAs, StopTimeout: m.StopTimeout, Fingerprint: m.Fingerprint}
	n, ok, err := h.note()
	if err != nil {
		return State{}, err
	}
	if ok {
		now, err := uptime()
		if err != nil {
			return State{}, err
		}
		s.Past = Past{Restarts: n.restarts, Looping: looping(n.starts, now)}
		s.Past.Steady = now >= n.Started && time.Duration(now-n.Started)*tick >= SteadyAfter
		if s.Past.End, err = h.end(); err != nil {
			return State{}, err
		}
	}
	for name, want := range m.Files {
		data, err := os.ReadFile(filepath.Join(string(h), name))
		there, err := There(err)
		if err != nil {
			return State{}, err
		}
		if !there || sum(data) != want {
			s.Fingerprint = ""
		}
	}
	return s, nil
}

// Hidden is the state of a service that could not be looked at.
func (h Home) Hidden(unseen error) State {
	return State{App: filepath.Base(string(h)), Problem: unseen.Error(), Bar: Unseen}
}

// Owners returns the folders below parent that setlive wrote, sorted, and those of which that cannot be seen: their
// State is an error.
func Owners(parent string) ([]Home, error) {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list services: %w: %w", ErrUnseen, err)
	}
	var homes []Home
	for _, e := range entries {
		h := Home(filepath.Join(parent, e.Name()))
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if owned, err := h.Owned(); owned || err != nil {
			homes = append(homes, h)
		}
	}
	return homes, nil
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
