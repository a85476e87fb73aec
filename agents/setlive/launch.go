package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	agenthost "github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// launchProblem says why the program of an install cannot be run, with its path and what to do; "" when nothing is known to
// be wrong. Its error is [service.ErrUnseen].
func launchProblem(install string) (string, error) {
	path := filepath.Join(install, intent.Launch)
	at, err := os.Stat(path)
	there, err := service.There(err)
	switch {
	case err != nil:
		return "", err
	case !there:
		return path + " is not there" + packedTooDeep(install), nil
	case !at.Mode().IsRegular():
		return path + " is not a program: pack a file that can be run", nil
	case at.Mode()&0o111 == 0:
		return fmt.Sprintf("%s is not executable (mode %04o): pack it with mode 0755", path, at.Mode().Perm()), nil
	case noexec(path):
		return path + " is on a file system mounted noexec: remount it with exec, or choose another basedir", nil
	}
	interpreter, err := interpreterOf(path)
	if err != nil || interpreter == "" {
		return "", err
	}
	_, err = os.Stat(interpreter)
	there, err = service.There(err)
	if there || err != nil {
		return "", err
	}
	return fmt.Sprintf("%s needs %s, which is not there: install it", path, interpreter), nil
}

// packedTooDeep says where the program is when the archive holds one folder on top.
func packedTooDeep(install string) string {
	below, _ := filepath.Glob(filepath.Join(install, "*", intent.Launch))
	if len(below) == 0 {
		return ""
	}
	top := filepath.Base(strings.TrimSuffix(below[0], "/"+intent.Launch))
	return fmt.Sprintf("; the archive holds %s/%s: pack it with tar -C %[1]s .", top, intent.Launch)
}

// interpreterOf returns the program that the kernel needs to run another one: that of the #! line, or the dynamic linker; ""
// when it needs none, or that is not known. Its error is [service.ErrUnseen].
func interpreterOf(path string) (string, error) {
	// Who owns the install may put a pipe in its place at any moment: opening that must not wait for a writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) {
		return "", nil // to be run, not to be read
	}
	if there, err := service.There(err); !there {
		return "", err
	}
	defer file.Close()
	if at, err := file.Stat(); err != nil || !at.Mode().IsRegular() {
		return "", nil
	}
	head := make([]byte, 256)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		_, err = service.There(err)
		return "", err
	}
	if line, is := bytes.CutPrefix(head[:n], []byte("#!")); is {
		line, _, whole := bytes.Cut(line, []byte("\n"))
		words := strings.Fields(string(line))
		if !whole || len(words) == 0 || !filepath.IsAbs(words[0]) {
			return "", nil
		}
		return words[0], nil
	}
	return linker(file), nil
}

// linker returns the dynamic linker of a program for this kind of machine, or "".
func linker(file *os.File) string {
	program, err := elf.NewFile(file)
	if err != nil || program.Machine != machine {
		return ""
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP && part.Filesz < 4096 {
			name, err := io.ReadAll(part.Open())
			if err == nil {
				return strings.TrimRight(string(name), "\x00")
			}
		}
	}
	return ""
}

// untrusted says why a version may not be started, "" when it may: as root, setlive starts nothing that users other than root
// and the app's own could change. Its error is [service.ErrUnseen].
func (h *host) untrusted(trust *agenthost.Trust, spec service.Spec, version string) (string, error) {
	if os.Geteuid() != 0 {
		return "", nil // what others could make us do we can only do to ourselves
	}
	if spec.RunAs == "" && h.requireRunAs {
		return "it has no run_as, and --require-run-as is set: add run_as to its deploy_config", nil
	}
	err := trust.Check(filepath.Join(install(spec, version), intent.Launch))
	if errors.Is(err, agenthost.ErrUnsafe) {
		return err.Error(), nil
	}
	_, err = service.There(err)
	return "", err
}
