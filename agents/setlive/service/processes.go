package service

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The variables that the run script gives every process of an app, and that its children inherit.
const (
	envConfig  = "PLATYPUS_CONFIG" // lies in the service's folder, so it names the installation, not only the app
	envVersion = "PLATYPUS_VERSION"
)

// ProcessTable is one look at all processes of the host.
type ProcessTable struct{ all map[int]tableEntry }

// tableEntry is one process, as /proc shows it.
type tableEntry struct {
	Process
	parent, group, session, terminal int
	config                           string // its PLATYPUS_CONFIG
	exe                              string // of those without one
	bare                             bool   // its environment is empty or overwritten, as by a daemon that sets its title
}

// Stray is a process of an app that its supervisor does not know: launch, or a child of it, went into the background.
type Stray struct {
	Process
	// Proven says that it was started by this very service, so that it may be ended with it. What only runs from an install
	// of the app may be a person's.
	Proven bool
}

// String says what is wrong with it, and what to do.
func (s Stray) String() string {
	return fmt.Sprintf("process %d of %s runs and nobody supervises it: launch must stay in the foreground", s.PID, s.Version)
}

// ReadProcessTable looks at all processes. A process that ends meanwhile is left out, and so is one of another user when we are not
// root. Its error is [ErrUnseen].
func ReadProcessTable() (ProcessTable, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return ProcessTable{}, fmt.Errorf("%w: %w", ErrUnseen, err)
	}
	c := ProcessTable{all: make(map[int]tableEntry, len(entries))}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		r, alive, err := readEntry(pid)
		if err != nil {
			return ProcessTable{}, err
		}
		if alive {
			c.all[pid] = r
		}
	}
	return c, nil
}

func readEntry(pid int) (r tableEntry, alive bool, err error) {
	fields, err := statOf(pid)
	if err != nil || len(fields) < 20 || fields[0] == "Z" {
		return r, false, err
	}
	r.PID = pid
	for i, to := range []*int{&r.parent, &r.group, &r.session, &r.terminal} {
		*to, _ = strconv.Atoi(fields[i+1])
	}
	r.Started, _ = strconv.ParseUint(fields[19], 10, 64)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if os.IsPermission(err) {
		return r, true, nil
	}
	if there, err := There(err); !there {
		return r, false, err
	}
	first, _, _ := bytes.Cut(env, []byte{0})
	r.bare = !bytes.ContainsRune(first, '=')
	for variable := range strings.SplitSeq(string(env), "\x00") {
		switch name, value, _ := strings.Cut(variable, "="); name {
		case envConfig:
			r.config = value
		case envVersion:
			r.Version = value
		}
	}
	if r.config == "" {
		r.exe, err = placeOf(pid, "exe")
	}
	return r, true, err
}

// Strays returns the processes of a service beside main, which the supervisor runs, with its group, its session and its
// descendants. Main is 0 when it runs none. Its error is [ErrUnseen].
func (c ProcessTable) Strays(h Home, main int) (strays []Stray, err error) {
	m, err := h.marker()
	if there, err := There(err); !there {
		return nil, err
	}
	installs := filepath.Join(m.Basedir, "installs")
	if real, err := filepath.EvalSymlinks(installs); err == nil {
		installs = real
	}
	for pid, r := range c.all {
		if main > 0 && (r.group == main || r.session == main || c.descends(pid, main)) || pid == os.Getpid() {
			continue
		}
		proven := r.config == filepath.Join(string(h), configName)
		if version, from := r.version(installs, m.App); !proven && from && r.parent == 1 && r.terminal == 0 {
			r.Version, proven = version, r.bare
		} else if !proven {
			continue
		}
		if ours, err := m.runsAs(pid); err != nil {
			return nil, err
		} else if !ours {
			continue // anybody can give a process the environment of this service
		}
		r.Version = m.App + " " + r.Version
		strays = append(strays, Stray{r.Process, proven})
	}
	return strays, nil
}

// Orphans returns the proven strays that neither are the eldest nor belong to it: each start of a service whose launch goes
// into the background leaves some. The eldest may be what serves.
func (c ProcessTable) Orphans(strays []Stray) (orphans []Stray) {
	eldest := Eldest(strays).PID
	for _, s := range strays {
		r, e := c.all[s.PID], c.all[eldest]
		if s.Proven && r.session != e.session && r.group != e.group && !c.descends(s.PID, eldest) {
			orphans = append(orphans, s)
		}
	}
	return orphans
}

// runsAs reports whether a process belongs to a user that the service runs as, or ran as before. An older version did not
// record that: then any user's does. Its error is [ErrUnseen].
func (m marker) runsAs(pid int) (bool, error) {
	if len(m.Users) == 0 {
		return true, nil
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if there, err := There(err); !there {
		return false, err
	}
	_, ids, _ := strings.Cut(string(data), "\nUid:")
	var id uint32 // the real one: the others are those of the program's owner when it is setuid
	if n, err := fmt.Sscan(ids, &id); n != 1 || err != nil {
		return false, nil
	}
	return slices.Contains(m.Users, id), nil
}

// version is that of the install of an app that a process was started from.
func (r tableEntry) version(installs, app string) (version string, from bool) {
	below, from := strings.CutPrefix(r.exe, installs+"/"+app+"_")
	if m := len(app); m == 0 || !from {
		return "", false
	}
	version, _, from = strings.Cut(below, "/")
	return version, from
}

// descends reports whether a process is main or was started by it, or by one that was.
func (c ProcessTable) descends(pid, main int) bool {
	for range len(c.all) {
		if pid == main {
			return true
		}
		if pid = c.all[pid].parent; pid <= 1 {
			return false
		}
	}
	return false
}
