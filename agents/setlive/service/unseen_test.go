package service

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestOnlyAnAnswerSaysThatSomethingIsNotThere(t *testing.T) {
	dir := t.TempDir()
	file, loop := filepath.Join(dir, "file"), filepath.Join(dir, "loop")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	absent := map[string]func(string) error{
		dir + "/none": func(p string) error { _, err := os.Stat(p); return err },
		file + "/x":   func(p string) error { _, err := os.Lstat(p); return err },
		file:          func(p string) error { _, err := os.Readlink(p); return err },
		loop:          func(p string) error { _, err := filepath.EvalSymlinks(p); return err },
	}
	for path, look := range absent {
		if there, err := There(look(path)); there || err != nil {
			t.Errorf("%s: %v, %v", path, there, err)
		}
	}
	if there, err := There(nil); !there || err != nil {
		t.Errorf("%v, %v", there, err)
	}
	for _, number := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EIO, syscall.EACCES, syscall.ENOMEM, syscall.ESTALE} {
		there, err := There(&fs.PathError{Op: "open", Path: "/a/path", Err: number})
		if there || !errors.Is(err, ErrUnseen) || !errors.Is(err, number) || !strings.Contains(err.Error(), "/a/path") {
			t.Errorf("%v: %v, %v", number, there, err)
		}
	}
}
