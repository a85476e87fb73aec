// Package engine runs seeds: it compiles a module, keeps instances of it, and calls them within limits of time, memory,
// output and log. It belongs into a process of its own, for what a module does it does to its process.
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

// Limits of what passes between a seed and its host, in bytes.
const (
	MaxInput  = 16 << 20 // of one call
	MaxOutput = 16 << 20 // of one call
	maxLog    = 64 << 10 // of the log of one seed, a second
	maxOpen   = 16       // replies that a seed may keep open
)

// minStartTimeout is how long an instance may take to initialise itself, whatever the timeout of a call.
const minStartTimeout = 2 * time.Second

// Host is what a seed may reach, and where its words go.
type Host interface {
	// Call calls another seed. Its errors are of type [*Error].
	Call(ctx context.Context, from *Call, uri string, input []byte) ([]byte, error)
	// Fetch makes an HTTP request that is given in the form that a proxy gets, and returns the response as on the wire.
	Fetch(ctx context.Context, from *Call, request []byte) ([]byte, error)
	// Log takes a line of a seed.
	Log(seed string, level int, line string)
}

// Idler is an [Outside] that wants to know when a seed sleeps: meanwhile, others may have its processor.
type Idler interface {
	Idle(wait func())
}

// Engine compiles modules. What it compiled lies in a folder, so that a restart need not do it again.
type Engine struct {
	dir    string                             // of compiled code; "" for none
	cache  wazero.CompilationCache            // where none is kept
	caches map[string]wazero.CompilationCache // by the name of a folder, what was taken from there
	host   Host
	queues compileQueues
	Memory *Budget // of the instances of all its seeds
	// Compile, when set, makes the code of a module in a folder, as [Compile] does, in a process that ends in time. Only
	// what certainly takes no time is compiled in this process then.
	Compile func(ctx context.Context, dir string, spec Spec, module []byte) error
	// Overdue, when set, is told of a trusted seed whose call goes on after its deadline: only the end of this process can
	// end that. It must return at once.
	Overdue func(seed string)
}

// New returns an engine that keeps compiled code in cacheDir, which is made for this user alone: who can write there can
// make this process run anything. With an empty cacheDir nothing is kept.
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

// Close gives the compiled code of all seeds up. None of them may be called any more.
func (e *Engine) Close(ctx context.Context) error {
	err := e.cache.Close(ctx)
	e.queues.mu.Lock()
	defer e.queues.mu.Unlock()
	for _, cache := range e.caches {
		err = errors.Join(err, cache.Close(ctx))
	}
	return err
}

// Spec is how a module shall run.
type Spec struct {
	Name   string
	Digest string // SHA-256 of the module in hex, if it is known to be right
	intent.Bounds
	Instance intent.Freshness
	ABI      intent.ABI // unset: as its exports say
	Env      map[string]string
	Trusted  bool // without the check that ends endless loops: such a seed needs a process of its own
	Egress   bool // it may fetch
	// Progress, when set, is told what the seed waits for until it is loaded.
	Progress func(stage string)
}

// Seed is a compiled module and its instances. It is safe for use by many goroutines.
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

// Load compiles a module, or takes its code from the cache, and starts a first instance, so that one that cannot start
// is never said to be ready. The seed must be closed.
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

// config is that of the seed's runtime.
func (s *Seed) config(cache wazero.CompilationCache) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfigCompiler().WithCompilationCache(cache).WithCloseOnContextDone(!s.Trusted).
		WithMemoryLimitPages(uint32(min(s.Memory/wasm.PageSize, 1<<16))).WithDebugInfoEnabled(false).
		WithCoreFeatures(api.CoreFeaturesV2)
}

// prepare makes the seed's runtime.
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

// requirements is what the module must fit.
func (s Spec) requirements() intent.Seed {
	required := intent.Seed{Bounds: s.Bounds, Instance: s.Instance, Module: intent.Module{ABI: s.ABI}}
	if s.Egress {
		required.Egress = []intent.Egress{"*"}
	}
	return required
}

// Close ends all instances. Calls under way end with an error.
func (s *Seed) Close() {
	s.pool.close()
	if s.runtime != nil {
		_ = s.runtime.Close(context.Background())
	}
}

// Call is one call of a seed. It may be used again once it has returned.
type Call struct {
	Function string
	Input    []byte
	Env      []string  // of a command, beside the seed's own: NAME=value
	Deadline time.Time // when it must have ended
	Meta     Meta
	Output   []byte // what the seed answered; its memory is used again
	Tail     *Tail  // set when the seed handed the call on
}

// Meta is what a seed may know of a call.
type Meta struct {
	Request string   // identifies the call that came from outside
	Caller  string   // the seed that called, or ""
	Chain   []string // the seeds that the call went through, the first one first
}

// Tail is a call that a seed handed on: its answer is the answer of the seed's own.
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

// shortSleep is a sleep for which a seed keeps its processor. Runtimes take many, of microseconds, while they collect garbage: with
// each somebody else would begin, and soon all would compute at once, and each for that much longer.
const shortSleep = time.Millisecond

// moduleConfig is what every instance gets: a real clock, real randomness, and nothing of this host.
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
