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
// when it has done so for longer than the process runs.
func (s Spec) Stranger(pid int) (p Process, problem string) {
	started, ok := StartOf(pid)
	if !ok {
		return Process{}, ""
	}
	p = Process{PID: pid, Started: started, Version: s.versionOf(pid, started)}
	if p.Version == "" {
		return p, "which version it runs cannot be told: stop it, and move its folder away"
	}
	at, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return p, ""
	}
	uid, want := at.Sys().(*syscall.Stat_t).Uid, fmt.Sprint(os.Geteuid())
	if s.RunAs != "" {
		u, err := lookup(s.RunAs)
		if err != nil {
			return p, err.Error()
		}
		want = u.Uid
	}
	if fmt.Sprint(uid) != want {
		return p, fmt.Sprintf("it runs as user %d and not as %s: leave run_as out for the take-over, or stop it and move its folder away", uid, want)
	}
	return p, ""
}

func (s Spec) versionOf(pid int, started uint64) string {
	current := filepath.Join(s.Basedir, "current")
	for _, place := range []string{"exe", "cwd"} {
		at, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, place))
		if version := s.versionAt(at); err == nil && version != "" {
			return version
		}
	}
	target, err := filepath.EvalSymlinks(current)
	link, errLink := os.Lstat(current)
	if errors.Join(err, errLink) != nil || link.Mode()&os.ModeSymlink == 0 {
		return ""
	}
	age := time.Duration(uptime()-started) * tick
	if time.Since(link.ModTime()) < age-time.Second {
		return "" // it leads elsewhere than it did when the process was started
	}
	return s.versionAt(target)
}

// versionAt returns the version of the install that a path lies in, or "".
func (s Spec) versionAt(path string) string {
	installs, err := filepath.EvalSymlinks(filepath.Join(s.Basedir, "installs"))
	if err != nil {
		return ""
	}
	below, ok := strings.CutPrefix(path+"/", installs+"/"+s.App+"_")
	if !ok {
		return ""
	}
	version, _, _ := strings.Cut(below, "/")
	return version
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
		line := fmt.Sprintf("%d %d %s %s 0 %s %s\n", p.PID, p.Started, p.Version, s.Settings(), s.Core(), bootID())
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
