package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
)

// returns encodes a module whose function run returns a number below 64.
func returns(n byte) []byte {
	return []byte("\x00asm\x01\x00\x00\x00" + "\x01\x05\x01\x60\x00\x01\x7f" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" +
		"\x07\x10\x02\x03run\x00\x00\x06memory\x02\x00" + "\x0a\x06\x01\x04\x00\x41" + string(n) + "\x0b")
}

// inNewEngine loads a module twice in a new engine, as a new process would, and calls a function of both.
func inNewEngine(t *testing.T, dir string, spec Spec, module []byte, function, want string) {
	t.Helper()
	e, err := New(dir, &outside{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close(context.Background()) }()
	for range 2 {
		s := loadIn(t, e, spec, module)
		defer s.Close()
		c := &Call{Function: function, Input: []byte("you"), Deadline: time.Now().Add(hang)}
		err := s.Do(t.Context(), c)
		if said := fmt.Sprint(string(c.Output), err); !strings.Contains(said, want) {
			t.Fatalf("it says %q, and not %q", said, want)
		}
	}
}

// TestCache_CodeIsStored: compiled code is reused by the next process, separately for trusted and checked seeds and
// for each module, even if only the function bodies differ; damaged code, or code for another processor, is compiled
// again.
func TestCache_CodeIsStored(t *testing.T) {
	dir := t.TempDir()
	specs := []Spec{{Name: "s"}, {Name: "s", Trusted: true}}
	all := func() {
		for _, spec := range specs {
			for _, n := range []byte{5, 6} {
				inNewEngine(t, dir, spec, returns(n), "run", fmt.Sprintf("it returned %d", n))
			}
		}
	}
	all()
	files := func() map[string]os.FileInfo {
		folders, err := os.ReadDir(dir)
		if err != nil || len(folders) != 4 {
			t.Fatalf("%v %v", folders, err)
		}
		files := map[string]os.FileInfo{}
		for _, f := range folders {
			if files[f.Name()], err = onlyFile(filepath.Join(dir, f.Name(), codeFolder)); err != nil {
				t.Fatal(err)
			}
		}
		return files
	}
	before := files()
	all()
	for name, file := range files() {
		if !os.SameFile(file, before[name]) {
			t.Errorf("%s was compiled again", name)
		}
	}
	for what, damage := range map[string]func(at string) error{
		"cut":     func(at string) error { return os.Truncate(at, 30) },
		"renamed": func(at string) error { return os.Rename(at, at[:len(at)-8]+"00000000") }, // as for another processor
		"doubled": func(at string) error { return os.WriteFile(at+"0", nil, 0o600) },
		"gone":    os.Remove,
		"shell": func(at string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(at), "../..", skeletonFile), returns(7), 0o600)
		},
		"no shell": func(at string) error { return os.Remove(filepath.Join(filepath.Dir(at), "../..", skeletonFile)) },
	} {
		for name := range before {
			at, err := onlyPath(filepath.Join(dir, name, codeFolder))
			if err == nil {
				err = damage(at)
			}
			if err != nil {
				t.Fatal(what, err)
			}
		}
		all()
		for name, file := range files() {
			if file.Size() != before[name].Size() {
				t.Errorf("%s: %s is of %d bytes, not %d", what, name, file.Size(), before[name].Size())
			}
		}
	}
}

// TestCache_GoCodeIsStored does the same with a module of thousands of functions.
func TestCache_GoCodeIsStored(t *testing.T) {
	dir, module := t.TempDir(), fixture.Go(t, "reactor+")
	for range 2 {
		inNewEngine(t, dir, Spec{Name: "s"}, module, "hello", "hello, you")
	}
}

// TestMakeSkeleton: a skeleton is a valid module, and a truncated module has none or is rejected as before.
func TestMakeSkeleton(t *testing.T) {
	module := returns(5)
	for cut := range module {
		e, err := New(t.TempDir(), &outside{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Load(t.Context(), Spec{Name: "s"}, module[:cut]); err == nil {
			t.Errorf("%d bytes of a module are loaded", cut)
		}
		_ = e.Close(context.Background())
		_, _ = makeSkeleton(module[:cut], "x")
	}
}
