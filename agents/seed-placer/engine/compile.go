package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/platypus-platform/platypus/intent/wasm"
)

// ErrTooLong is returned by [Engine.Compile] for a module that exceeds its processor time. A retry would end the same
// way.
var ErrTooLong = errors.New("its module took too long")

// Size classes of the compile queues. A queue compiles one module at a time, so that small modules do not wait for
// large ones.
const (
	tinyModule  = 16 << 10 // bytes; without custom sections it is compiled in this process
	tinyWork    = 1 << 16  // see [wasm.Facts]
	smallModule = 4 << 20  // bytes
	smallWork   = 1 << 22
)

// compileQueues serialise compilations by size. Cached modules do not wait in them.
type compileQueues struct {
	mu         sync.Mutex               // also guards Engine.caches
	inProgress map[string]chan struct{} // by directory name; closed when the work on it has ended

	tiny, small, large chan struct{}
}

func newCompileQueues() compileQueues {
	one := func() chan struct{} { return make(chan struct{}, 1) }
	return compileQueues{inProgress: map[string]chan struct{}{}, tiny: one(), small: one(), large: one()}
}

func (l *compileQueues) queueFor(module []byte, facts wasm.Facts) chan struct{} {
	switch {
	case len(module) <= tinyModule && facts.Work <= tinyWork && !facts.Custom:
		return l.tiny
	case len(module) <= smallModule && facts.Work <= smallWork:
		return l.small
	}
	return l.large
}

// lockFolder waits for exclusive use of a cache directory. The caller must call done.
func (l *compileQueues) lockFolder(ctx context.Context, name string) (done func(), err error) {
	for {
		l.mu.Lock()
		other := l.inProgress[name]
		if other == nil {
			own := make(chan struct{})
			l.inProgress[name] = own
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.inProgress, name)
				l.mu.Unlock()
				close(own)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (e *Engine) cacheOf(name string) wazero.CompilationCache {
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	return e.caches[name]
}

func (e *Engine) setCache(name string, cache wazero.CompilationCache) {
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	if e.caches[name] = cache; cache == nil {
		delete(e.caches, name)
	}
}

// compile makes the seed's runtime, and loads the code from the cache or compiles it. Calls continue meanwhile.
func (e *Engine) compile(ctx context.Context, s *Seed, module []byte) error {
	name, digest := s.cacheName(module)
	if e.dir != "" {
		done, err := e.queues.lockFolder(ctx, name)
		if err != nil {
			return err
		}
		defer done()
		if e.loadCached(ctx, s, name) {
			return nil
		}
	}
	lane := e.queues.queueFor(module, s.Facts)
	s.progress(fmt.Sprintf("the module (%d kB) waits until others are compiled", (len(module)+999)/1000))
	select {
	case lane <- struct{}{}:
		defer func() { <-lane }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.progress(fmt.Sprintf("the module (%d kB) is being compiled", (len(module)+999)/1000))
	switch {
	case e.dir == "":
		return s.compile(ctx, e.cache, module)
	case e.Compile == nil || lane == e.queues.tiny:
		return e.compileHere(ctx, s, name, digest, module)
	}
	return e.compileApart(ctx, s, name, module)
}

func (s *Seed) progress(stage string) {
	if s.Progress != nil {
		s.Progress(stage)
	}
}

// cacheName returns the name of the seed's cache directory, and the digest of its module. The bounds of tables are
// compiled in, so they are part of the name.
func (s *Seed) cacheName(module []byte) (name, digest string) {
	if digest = s.Digest; digest == "" {
		sum := sha256.Sum256(module)
		digest = hex.EncodeToString(sum[:])
	}
	if s.Trusted {
		return digest + "-bounded-trusted", digest
	}
	return digest + "-bounded-checked", digest
}

// compileHere compiles in this process and caches the code.
func (e *Engine) compileHere(ctx context.Context, s *Seed, name, digest string, module []byte) error {
	dir, err := os.MkdirTemp(e.dir, incomplete)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, codeFolder))
	if err != nil {
		return err
	}
	if err := s.compile(ctx, cache, module); err != nil {
		return err
	}
	skeleton, err := makeSkeleton(module, digest)
	if err == nil {
		err = e.store(ctx, s, name, dir, skeleton)
	}
	if err != nil {
		s.host.Log(s.Name, Warn, fmt.Sprintf("keep its code: %v", err)) // without it the next start only takes longer
	}
	return nil
}

// compileApart compiles in another process and loads the resulting code.
func (e *Engine) compileApart(ctx context.Context, s *Seed, name string, module []byte) error {
	dir, err := os.MkdirTemp(e.dir, incomplete)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := e.Compile(ctx, dir, s.Spec, module); err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	failed := os.Rename(filepath.Join(dir, name), filepath.Join(e.dir, name))
	if !e.loadCached(ctx, s, name) {
		return errors.Join(errors.New("compile: the code that was made cannot be used"), failed)
	}
	return nil
}

// noHost is a [Host] for compiling only: no module runs.
type noHost struct{ Host }

// Log implements [Host].
func (noHost) Log(string, int, string) {}

// Compile compiles a module into a directory, from which an engine can load it.
func Compile(ctx context.Context, dir string, spec Spec, module []byte) error {
	facts, err := wasm.Read(module)
	if err != nil {
		return err
	}
	e := newEngine(dir, noHost{})
	s := &Seed{Spec: spec, Facts: facts, host: e.host, log: newLogLimit(maxLog), budget: e.Memory}
	name, digest := s.cacheName(module)
	if err := e.compileHere(ctx, s, name, digest, module); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("the code was not kept: %w", err)
	}
	return nil
}
