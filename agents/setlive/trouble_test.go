package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// disk DIR puts a small disk of its own at a directory.
func (w *world) disk(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.MkdirAll(args[0], 0o755))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=200,mode=755", "none", args[0]).CombinedOutput(); err != nil {
		ts.Fatalf("mount: %v: %s", err, out)
	}
	w.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", args[0]).CombinedOutput(); err != nil {
			w.Errorf("umount: %v: %s", err, out)
		}
	})
}

// fill DIR leaves neither a byte nor a name on the disk of a directory; roomy DIR takes that back.
func (w *world) fill(ts *testscript.TestScript, _ bool, args []string) {
	filler := filepath.Join(args[0], ".filler")
	if _, err := os.Stat(filler); err == nil {
		ts.Check(os.RemoveAll(filler))
		return
	}
	ts.Check(os.Mkdir(filler, 0o700))
	big, err := os.Create(filepath.Join(filler, "big"))
	ts.Check(err)
	_, err = io.Copy(big, zeros{})
	_ = big.Close()
	for i := 0; errors.Is(err, syscall.ENOSPC); i++ {
		if err := os.WriteFile(filepath.Join(filler, fmt.Sprint(i)), nil, 0o600); err != nil {
			return
		}
	}
	ts.Fatalf("fill %s: %v", args[0], err)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// remount DIR: readonly DIR makes a disk refuse every write, writable DIR takes that back.
func (w *world) remount(ts *testscript.TestScript, _ bool, args []string) {
	var at syscall.Statfs_t
	ts.Check(syscall.Statfs(args[0], &at))
	const readOnly = 1
	flags := uintptr(syscall.MS_REMOUNT)
	if at.Flags&readOnly == 0 {
		flags |= syscall.MS_RDONLY
	}
	ts.Check(syscall.Mount("none", args[0], "tmpfs", flags, "size=256k,nr_inodes=200,mode=755"))
}

// freezer is where the kernel's freezer is to be found: a process in it does not even heed KILL before it is thawed.
const freezer = "freezer.state"

// freeze APP freezes the processes of an app; thaw APP lets them go on.
func (w *world) freeze(ts *testscript.TestScript, _ bool, args []string) {
	top := filepath.Join(w.dir, "freezer")
	group := filepath.Join(top, "frozen-"+filepath.Base(w.root))
	if _, err := os.Stat(group); err == nil {
		w.thaw(group)
		return
	}
	ts.Check(os.MkdirAll(top, 0o755))
	if out, err := exec.Command("mount", "-t", "cgroup", "-o", "freezer", "none", top).CombinedOutput(); err != nil {
		ts.Setenv("NOFREEZER", "1")
		w.Skipf("needs the freezer of cgroups: %v: %s", err, out)
	}
	w.Cleanup(func() { _ = exec.Command("umount", "-l", top).Run() })
	ts.Check(os.Mkdir(group, 0o755))
	w.Cleanup(func() {
		w.thaw(group)
		w.eventually(ts, func() error { return os.Remove(group) })
	})
	_, pids := w.versions(args[0])
	for pid := range strings.FieldsSeq(pids) {
		ts.Check(os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(pid), 0o644))
	}
	ts.Check(os.WriteFile(filepath.Join(group, freezer), []byte("FROZEN"), 0o644))
	w.eventually(ts, func() error {
		if state, err := os.ReadFile(filepath.Join(group, freezer)); err != nil || string(state) != "FROZEN\n" {
			return fmt.Errorf("%s %v", state, err)
		}
		return nil
	})
}

func (w *world) thaw(group string) {
	if err := os.WriteFile(filepath.Join(group, freezer), []byte("THAWED"), 0o644); err != nil {
		w.Errorf("thaw: %v", err)
	}
}

// supervisor dies kills it with all that it ran; supervisor boots starts it anew.
func (w *world) supervisor(_ *testscript.TestScript, _ bool, args []string) {
	if args[0] == "dies" {
		w.runit.PowerCut(w.T)
	} else {
		w.runit.Boot(w.T)
	}
}
