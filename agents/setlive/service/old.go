package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Launches reports whether a run script of another hand runs the app as ours would: it names <Basedir>/current/bin/launch.
func (s Spec) Launches(run []byte) bool {
	const end = `([^A-Za-z0-9._/+@-]|$)`
	launch := regexp.QuoteMeta(filepath.Join(s.Basedir, "current", "bin", "launch"))
	return regexp.MustCompile(`(?m)(^|[^A-Za-z0-9._/+@-])` + launch + end).Match(run)
}

// Stranger returns what can be found out of a process that was not started by our script, and why it could not be taken
// for one of ours. Its version is that of the install that it was started from, or lies in; else what current leads to,
// when it has done so since before the process was started, which is since by what the supervisor noted then. Its error is
// [ErrUnseen].
func (s Spec) Stranger(pid int, since time.Time) (p Process, problem string, err error) {
	started, alive, err := StartOf(pid)
	if !alive {
		return Process{}, "", err
	}
	p = Process{PID: pid, Started: started}
	if p.Version, err = s.versionOf(pid, started, since); err != nil || p.Version == "" {
		return p, "which version it runs cannot be told: stop it, and move its folder away", err
	}
	at, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if there, err := There(err); !there {
		return p, "", err
	}
	uid, want := at.Sys().(*syscall.Stat_t).Uid, fmt.Sprint(os.Geteuid())
	if s.RunAs != "" {
		u, err := lookup(s.RunAs)
		if _, unseen := There(err); unseen != nil {
			return p, "", unseen
		}
		if err != nil {
			return p, err.Error(), nil
		}
		want = u.Uid
	}
	if fmt.Sprint(uid) != want {
		problem = fmt.Sprintf("it runs as user %d and not as %s: leave run_as out for the take-over, or stop it and move its folder away", uid, want)
	}
	return p, problem, nil
}

func (s Spec) versionOf(pid int, started uint64, since time.Time) (string, error) {
	for _, place := range []string{"exe", "cwd"} {
		at, err := placeOf(pid, place)
		if err != nil {
			return "", err
		}
		if version, err := s.versionAt(at); err != nil || version != "" {
			return version, err
		}
	}
	current := filepath.Join(s.Basedir, "current")
	link, err := os.Lstat(current)
	if there, err := There(err); !there || link.Mode()&os.ModeSymlink == 0 {
		return "", err
	}
	target, err := filepath.EvalSymlinks(current)
	if there, err := There(err); !there {
		return "", err
	}
	now, err := uptime()
	if err != nil || !ledSince(link.ModTime(), since, time.Now(), time.Duration(now-started)*tick) {
		return "", err
	}
	return s.versionAt(target)
}

// clockSlack is how far two clocks that tell the same time may seem to be apart, for what was between the looks at them.
const clockSlack = 2 * time.Second

// ledSince reports whether a link that was made at made is older than a process that was started at since and has run for
// age. The first two, and now, are by the clock on the wall, which may have been set in between: then times of before and
// after cannot be compared, and nothing follows from them. Age is by the kernel's own clock, which nobody sets.
func ledSince(made, since, now time.Time, age time.Duration) bool {
	set := now.Sub(since) - age // how far the clock was set since the start
	return set.Abs() <= clockSlack && made.Before(since)
}

// versionAt returns the version of the install that a path lies in, or "".
func (s Spec) versionAt(path string) (string, error) {
	installs, err := filepath.EvalSymlinks(filepath.Join(s.Basedir, "installs"))
	if there, err := There(err); !there {
		return "", err
	}
	below, ok := strings.CutPrefix(path+"/", installs+"/"+s.App+"_")
	if !ok {
		return "", nil
	}
	version, _, _ := strings.Cut(below, "/")
	return version, nil
}

// Adopt makes a folder that is there the service's, with a process that runs in it as if our script had started it. What
// else the folder lacks then, [Home.Write] adds.
func (h Home) Adopt(s Spec, p Process, more ...File) error {
	files, err := h.files(s, more)
	if err != nil {
		return fmt.Errorf("adopt service %s: %w", s.App, err)
	}
	if err := errors.Join(s.check(), h.Forget()); err != nil {
		return fmt.Errorf("adopt service %s: %w", s.App, err)
	}
	if p.Running() {
		boot, err := bootID()
		if err != nil {
			return fmt.Errorf("adopt service %s: %w", s.App, err)
		}
		line := fmt.Sprintf("%d %d %s %s 0 %s %s\n", p.PID, p.Started, p.Version, s.Settings(), s.Core(), boot)
		if err := put(filepath.Join(string(h), noteName), File{noteName, []byte(line), 0o644}, ""); err != nil {
			return err
		}
	}
	// The marker is first: from now on the folder is ours, and what differs from it is to be written.
	mark := files[len(files)-1]
	if err := put(filepath.Join(string(h), mark.Path), mark, s.RunAs); err != nil {
		return err
	}
	_, err = h.Write(s, more...)
	return err
}
