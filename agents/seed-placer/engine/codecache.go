package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Most of what it takes to load compiled code is the check of the module's functions, which it passed when it was
// compiled. So what is kept lies under the name of a shell: the module with all its functions empty, and its digest, so
// that no two have the same. Each has a folder of its own with the shell, and a single file of code: when wazero comes to
// another name for the shell, as with another processor or a shell that is damaged, it makes a second one, and what it made
// is thrown away.
const (
	incomplete   = ".making-" // begins the names of folders that are not complete
	codeFolder   = "code"
	skeletonFile = "shell"
)

// abandonedAfter is for how long nobody has touched a folder that is not complete, and never will be: nothing takes that long to
// compile.
const abandonedAfter = time.Hour

// removeAbandoned removes what a process has left that ended while it compiled.
func removeAbandoned(dir string) {
	halves, _ := filepath.Glob(filepath.Join(dir, incomplete+"*"))
	for _, half := range halves {
		if at, err := os.Stat(half); err == nil && time.Since(at.ModTime()) > abandonedAfter {
			_ = os.RemoveAll(half)
		}
	}
}

// Forget removes the code of a module from a folder of compiled code. A seed that runs it goes on.
func Forget(dir, digest string) error {
	folders, err := filepath.Glob(filepath.Join(dir, digest+"-*"))
	for _, folder := range folders {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	return err
}

// compile makes the seed's runtime and its code.
func (s *Seed) compile(ctx context.Context, cache wazero.CompilationCache, module []byte) (err error) {
	if err := s.prepare(ctx, cache); err != nil {
		return err
	}
	// Two workers compile a large module in half the time of one; more take it from the calls that go on meanwhile.
	compiling := experimental.WithCompilationWorkers(ctx, min(2, runtime.GOMAXPROCS(0)))
	if s.compiled, err = s.runtime.CompileModule(compiling, module); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	return nil
}

// loadCached takes a seed's code from the cache, if it is there and whole.
func (e *Engine) loadCached(ctx context.Context, s *Seed, name string) bool {
	dir := filepath.Join(e.dir, name)
	skeleton, err := os.ReadFile(filepath.Join(dir, skeletonFile))
	if err == nil && e.loadSkeleton(ctx, s, name, skeleton) {
		return true
	}
	if s.runtime != nil {
		_ = s.runtime.Close(ctx)
	}
	_ = os.RemoveAll(dir)
	e.setCache(name, nil)
	return false
}

// loadSkeleton makes a seed's code of a shell, and reports whether nothing was compiled for that.
func (e *Engine) loadSkeleton(ctx context.Context, s *Seed, name string, skeleton []byte) bool {
	dir := filepath.Join(e.dir, name, codeFolder)
	before, err := onlyFile(dir)
	if err != nil {
		return false
	}
	cache := e.cacheOf(name)
	if cache == nil {
		if cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
			return false
		}
	}
	if err := s.compile(ctx, cache, skeleton); err != nil {
		return false
	}
	e.setCache(name, cache)
	after, err := onlyFile(dir)
	return err == nil && os.SameFile(before, after)
}

// store puts the code that was compiled into dir where recall finds it.
func (e *Engine) store(ctx context.Context, s *Seed, name, dir string, skeleton []byte) error {
	code, err := onlyPath(filepath.Join(dir, codeFolder))
	if err != nil {
		return err
	}
	staging := filepath.Join(dir, "kept")
	cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(staging, codeFolder))
	if err != nil {
		return err
	}
	defer cache.Close(ctx)
	other := wazero.NewRuntimeWithConfig(ctx, s.config(cache))
	defer other.Close(ctx)
	if _, err := other.CompileModule(ctx, skeleton); err != nil { // only to learn the name of its file
		return err
	}
	to, err := onlyPath(staging)
	if err == nil {
		err = os.Rename(code, to)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(staging, skeletonFile), skeleton, 0o600)
	}
	if err == nil {
		err = os.Rename(staging, filepath.Join(e.dir, name))
	}
	return err
}

// onlyPath is the one file below a folder.
func onlyPath(dir string) (found string, err error) {
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if found != "" {
			return errors.New("there is more than one file in " + dir)
		}
		found = at
		return nil
	})
	if err == nil && found == "" {
		err = errors.New("there is no file in " + dir)
	}
	return found, err
}

func onlyFile(dir string) (fs.FileInfo, error) {
	at, err := onlyPath(dir)
	if err != nil {
		return nil, err
	}
	return os.Lstat(at)
}

// The parts of a module that a shell is made of.
const (
	preamble         = 8  // bytes
	codeSection      = 10 // a number, as the others
	dataSection      = 11
	dataCountSection = 12
	digestName       = "platypus.digest"
)

// makeSkeleton is a module with all its functions empty, its data in few pieces, and its digest in a section of its own.
func makeSkeleton(module []byte, digest string) ([]byte, error) {
	var skeleton bytes.Buffer
	skeleton.Write(module[:min(preamble, len(module))])
	counted := false // then code may ask for data by its number
	for rest := module[skeleton.Len():]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) {
			return nil, errors.New("a section is cut off")
		}
		end := 1 + n + int(size)
		content := rest[1+n : end]
		switch kind := rest[0]; {
		case kind == codeSection:
			if err := writeEmptyFunctions(&skeleton, content); err != nil {
				return nil, err
			}
		case kind == dataSection && !counted:
			writeSection(&skeleton, dataSection, mergeSegments(content))
		default:
			counted = counted || kind == dataCountSection
			skeleton.Write(rest[:end])
		}
		rest = rest[end:]
	}
	writeSection(&skeleton, 0, append(append(binary.AppendUvarint(nil, uint64(len(digestName))), digestName...), digest...))
	return skeleton.Bytes(), nil
}

// writeEmptyFunctions writes a code section whose functions only say that nobody gets there, which is right for any type.
func writeEmptyFunctions(skeleton *bytes.Buffer, code []byte) error {
	count, n := binary.Uvarint(code)
	if n <= 0 || count > uint64(len(code)) {
		return errors.New("a section is cut off")
	}
	const function = "\x03\x00\x00\x0b" // its size, no locals, unreachable, end
	writeSection(skeleton, codeSection, append(binary.AppendUvarint(nil, count), bytes.Repeat([]byte(function), int(count))...))
	return nil
}

func writeSection(skeleton *bytes.Buffer, number byte, content []byte) {
	skeleton.WriteByte(number)
	skeleton.Write(binary.AppendUvarint(nil, uint64(len(content))))
	skeleton.Write(content)
}
