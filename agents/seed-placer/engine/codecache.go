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

// Most of the time to load compiled code goes into validating the module, which was done at compile time. So the code
// is stored under the name of a skeleton: the module with empty functions, and its digest, which makes it unique.
// Each has a directory with the skeleton and a single code file. If wazero computes another file name, because of
// another processor or a damaged skeleton, it writes a second file, which is detected and deleted.
const (
	incomplete   = ".making-" // prefix of incomplete directories
	codeFolder   = "code"
	skeletonFile = "shell"
)

// abandonedAfter is the age of an incomplete directory that no process is working on any more. No compilation takes
// that long.
const abandonedAfter = time.Hour

// removeAbandoned deletes incomplete directories of processes that ended while compiling.
func removeAbandoned(dir string) {
	halves, _ := filepath.Glob(filepath.Join(dir, incomplete+"*"))
	for _, half := range halves {
		if at, err := os.Stat(half); err == nil && time.Since(at.ModTime()) > abandonedAfter {
			_ = os.RemoveAll(half)
		}
	}
}

// Forget deletes the compiled code of a module. Running seeds are not affected.
func Forget(dir, digest string) error {
	folders, err := filepath.Glob(filepath.Join(dir, digest+"-*"))
	for _, folder := range folders {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	return err
}

// compile makes the seed's runtime and compiles the module.
func (s *Seed) compile(ctx context.Context, cache wazero.CompilationCache, module []byte) (err error) {
	if err := s.prepare(ctx, cache); err != nil {
		return err
	}
	// Two compiler threads need half the time for a large module; more would slow down calls.
	compiling := experimental.WithCompilationWorkers(ctx, min(2, runtime.GOMAXPROCS(0)))
	if s.compiled, err = s.runtime.CompileModule(compiling, module); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	return nil
}

// loadCached loads a seed's code from the cache, and deletes a damaged entry.
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

// loadSkeleton loads a seed's code by its skeleton, and reports whether nothing had to be compiled.
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

// store moves the code compiled into dir to where loadCached finds it.
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
	if _, err := other.CompileModule(ctx, skeleton); err != nil { // only to learn the file name
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

// onlyPath returns the single file below a directory.
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

// The parts of a module that a skeleton is made of.
const (
	preamble         = 8  // bytes
	codeSection      = 10 // section numbers
	dataSection      = 11
	dataCountSection = 12
	digestName       = "platypus.digest"
)

// makeSkeleton returns a module with empty functions, merged data segments, and its digest in a custom section.
func makeSkeleton(module []byte, digest string) ([]byte, error) {
	var skeleton bytes.Buffer
	skeleton.Write(module[:min(preamble, len(module))])
	counted := false // with a data count section, code may refer to segments by index
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

// writeEmptyFunctions writes a code section whose functions are a single unreachable, which is valid for any type.
func writeEmptyFunctions(skeleton *bytes.Buffer, code []byte) error {
	count, n := binary.Uvarint(code)
	if n <= 0 || count > uint64(len(code)) {
		return errors.New("a section is cut off")
	}
	const function = "\x03\x00\x00\x0b" // size, no locals, unreachable, end
	writeSection(skeleton, codeSection, append(binary.AppendUvarint(nil, count), bytes.Repeat([]byte(function), int(count))...))
	return nil
}

func writeSection(skeleton *bytes.Buffer, number byte, content []byte) {
	skeleton.WriteByte(number)
	skeleton.Write(binary.AppendUvarint(nil, uint64(len(content))))
	skeleton.Write(content)
}
