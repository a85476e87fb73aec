// Package engine runs seeds: it compiles modules, keeps instances, and calls them within limits of time, memory,
// output and log. It needs a process of its own, because a module can crash or exhaust its process.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/wasm"
)

// Limits of the data between a seed and its host, in bytes.
const (
	MaxInput  = 16 << 20 // per call
	MaxOutput = 16 << 20 // per call
	maxLog    = 64 << 10 // log of one seed per second
	maxOpen   = 16       // open replies of an instance
)

// minStartTimeout is the minimum time for the initialisation of an instance, whatever the call timeout.
const minStartTimeout = 2 * time.Second

// Host is what a seed can reach, and where it logs.
type Host interface {
	// Call calls another seed. Its errors are of type [*Error].
	Call(ctx context.Context, from *Call, uri string, input []byte) ([]byte, error)
	// Fetch makes an HTTP request given in proxy form, and returns the response in wire format.
	Fetch(ctx context.Context, from *Call, request []byte) ([]byte, error)
	// Log logs a line of a seed.
	Log(seed string, level int, line string)
}

// Idler is a [Host] that is told when a seed sleeps, so that other calls can use the processor.
type Idler interface {
	Idle(wait func())
}

// Engine compiles modules and caches the code in a directory.
type Engine struct {
	dir    string                             // of compiled code; "" for no cache
	cache  wazero.CompilationCache            // in memory, if dir is ""
	caches map[string]wazero.CompilationCache // loaded from dir, by directory name
	host   Host
	queues compileQueues
	Memory *Budget // limits all instances
	// Compile, when set, compiles a module into a directory, as [Compile] does, in a process with limits. Only tiny
	// modules are compiled in this process then.
	Compile func(ctx context.Context, dir string, spec Spec, module []byte) error
	// Overdue, when set, is called for a trusted seed whose call exceeds its deadline: only ending the process ends
	// such a call. It must not block.
	Overdue func(seed string)
}

// New returns an engine that caches compiled code in cacheDir. Only this user may access it: whoever writes there can
// run code in this process. With an empty cacheDir nothing is cached.
func New(cacheDir string, host Host) (*Engine, error) {
	if cacheDir == "" {
		return newEngine("", host), nil
	}
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("make cache of compiled seeds: %w", err)
	}
	if err := os.Chmod(cacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("make cache of compiled seeds: %w", err)
	}
	removeAbandoned(cacheDir)
	return newEngine(cacheDir, host), nil
}

func newEngine(dir string, host Host) *Engine {
	return &Engine{dir: dir, cache: wazero.NewCompilationCache(), caches: map[string]wazero.CompilationCache{}, host: host,
		queues: newCompileQueues(), Memory: NewBudget()}
}

// Close releases the compiled code of all seeds. None of them may be called any more.
func (e *Engine) Close(ctx context.Context) error {
	err := e.cache.Close(ctx)
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	for _, cache := range e.caches {
		err = errors.Join(err, cache.Close(ctx))
	}
	return err
}

// Spec describes how to run a module.
type Spec struct {
	Name   string
	Digest string // hex SHA-256 of the module if verified, or ""
	intent.Bounds
	Instance intent.Freshness
	ABI      intent.ABI // derived from the exports if unset
	Env      map[string]string
	Trusted  bool // compiled without the check that ends endless loops, so it needs a process of its own
	Egress   bool // it may use Host.Fetch
	// Progress, when set, receives what the load waits for.
	Progress func(stage string)
}

// Seed is a compiled module and its instances. It is safe for concurrent use.
type Seed struct {
	Spec
	Facts    wasm.Facts
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	host     Host
	pool     pool
	log      *logLimit
	budget   *Budget
	overdue  func(seed string)
}

// Load compiles a module, or loads its code from the cache, and starts a first instance, so that a seed that cannot
// start never becomes ready. The caller must close the seed.
func (e *Engine) Load(ctx context.Context, spec Spec, module []byte) (s *Seed, err error) {
	facts, err := wasm.Read(module)
	if err != nil {
		return nil, err
	}
	if spec.ABI, err = wasm.Fit(facts, spec.requirements()); err != nil {
		return nil, err
	}
	if module, err = wasm.LimitTables(module, facts); err != nil {
		return nil, err
	}
	spec.Bounds = spec.Bounds.Or()
	loading := &Seed{Spec: spec, Facts: facts, host: e.host, log: newLogLimit(maxLog), budget: e.Memory, overdue: e.Overdue}
	loading.pool.seed = loading
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("compile: the module breaks the compiler: %v", r)
		}
		if err != nil {
			loading.Close()
		}
	}()
	if err := e.compile(ctx, loading, module); err != nil {
		return nil, err
	}
	if loading.ABI == intent.ABICommand {
		return loading, nil
	}
	first, err := loading.instantiate(time.Now().Add(loading.startTimeout()))
	if err != nil {
		return nil, fmt.Errorf("start an instance: %w", err)
	}
	loading.pool.put(first)
	return loading, nil
}

// config returns the configuration of the seed's runtime.
func (s *Seed) config(cache wazero.CompilationCache) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigCompiler().WithCompilationCache(cache).WithCloseOnContextDone(!s.Trusted).
		WithMemoryLimitPages(uint32(min(s.Memory/wasm.PageSize, 1<<16))).WithDebugInfoEnabled(false).
		WithCoreFeatures(api.CoreFeaturesV2)
}

// prepare makes the seed's runtime with its host modules.
func (s *Seed) prepare(ctx context.Context, cache wazero.CompilationCache) error {
	s.runtime = wazero.NewRuntimeWithConfig(ctx, s.config(cache))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, s.runtime); err != nil {
		return fmt.Errorf("offer %s: %w", wasm.WASI, err)
	}
	if err := s.addHostModule(ctx); err != nil {
		return fmt.Errorf("offer %s: %w", wasm.Host, err)
	}
	return nil
}

func (s *Seed) startTimeout() time.Duration { return max(minStartTimeout, time.Duration(s.Timeout)) }

// requirements returns what the module must be compatible with.
func (s Spec) requirements() intent.Seed {
	required := intent.Seed{Bounds: s.Bounds, Instance: s.Instance, Module: intent.Module{ABI: s.ABI}}
	if s.Egress {
		required.Egress = []intent.Egress{"*"}
	}
	return required
}

// Close ends all instances. Calls in progress fail.
func (s *Seed) Close() {
	s.pool.close()
	if s.runtime != nil {
		_ = s.runtime.Close(context.Background())
	}
}

// Call is one call of a seed. It can be reused after it has returned.
type Call struct {
	Function string
	Input    []byte
	Env      []string // NAME=value, for commands, in addition to the seed's own
	Deadline time.Time
	Meta     Meta
	Output   []byte // result; its memory is reused by the next call
	Tail     *Tail  // set if the seed asked for a tail call
}

// Meta is the metadata of a call that the seed can read.
type Meta struct {
	Request string   // ID of the external request
	Caller  string   // the calling seed, or ""
	Chain   []string // seeds that the call went through, in order
}

// Tail is a tail call: its output becomes the output of the seed's own call.
type Tail struct {
	URI   string
	Input []byte
}

// Do makes a call. Its errors are of type [*Error].
func (s *Seed) Do(ctx context.Context, c *Call) error {
	c.Output, c.Tail = c.Output[:0], nil
	if len(c.Input) > MaxInput {
		return &Error{Code: TooLarge, Text: fmt.Sprintf("input of %d bytes: at most %d are allowed", len(c.Input), MaxInput)}
	}
	if s.ABI == intent.ABICommand {
		return s.runCommand(ctx, c)
	}
	return s.callReactor(c)
}

// shortSleep is the longest sleep that keeps the processor. Language runtimes sleep for microseconds while they
// collect garbage; starting another call each time would make all of them run at once, and slower.
const shortSleep = time.Millisecond

// moduleConfig gives an instance real clocks and randomness, and nothing else of the host.
func (s *Seed) moduleConfig(sleep func(int64), words io.Writer) wazero.ModuleConfig {
	if idler, ok := s.host.(Idler); ok {
		plain := sleep
		sleep = func(ns int64) {
			if ns < int64(shortSleep) {
				plain(ns)
			} else {
				idler.Idle(func() { plain(ns) })
			}
		}
	}
	config := wazero.NewModuleConfig().WithName("").WithSysWalltime().WithSysNanotime().WithRandSource(rand.Reader).
		WithNanosleep(sleep).WithOsyield(runtime.Gosched).WithStderr(words)
	for name, value := range s.Env {
		config = config.WithEnv(name, value)
	}
	return config
}
