package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/wasm"
)

// instance is one instance of a module. It runs one call at a time.
type instance struct {
	seed           *Seed
	module         api.Module
	functions      map[string]api.Function
	call           *Call
	ctx            context.Context // carries the instance for host functions
	kill           *killSwitch
	image          []byte // memory before the first call, for Reset instances
	replies        []reply
	lastError      string // of the last call that the seed made, as JSON
	uses           int
	outputExceeded bool
	stack          [1]uint64
	memory         *linearMemory
}

// instanceKey is the context key of the instance.
type instanceKey struct{}

// maxUses is the number of calls after which an instance is replaced, to limit memory leaks.
const maxUses = 1_000_000

// instantiate makes an instance and runs its initialisation.
func (s *Seed) instantiate(deadline time.Time) (*instance, error) {
	memory, err := s.newMemory()
	if err != nil {
		return nil, err
	}
	i := &instance{seed: s, functions: map[string]api.Function{}, kill: s.killSwitch(), memory: memory}
	i.ctx = context.WithValue(i.kill, instanceKey{}, i)
	i.call = &Call{Deadline: deadline}
	words := s.lineWriter()
	config := s.moduleConfig(i.kill.sleep, words).WithStdout(words).WithArgs(s.Name).WithStartFunctions("_initialize")
	i.kill.arm(deadline)
	defer i.kill.disarm()
	module, err := s.runtime.InstantiateModule(experimental.WithMemoryAllocator(i.ctx, memory), s.compiled, config)
	if err != nil {
		i.end()
		return nil, trap(err, s.startTimeout())
	}
	i.module = module
	for _, name := range s.Facts.Functions() {
		i.functions[name] = module.ExportedFunction(name)
	}
	if s.Instance == intent.Reset {
		if !memory.reserveHost(int64(module.Memory().Size())) {
			i.end()
			return nil, &Error{Code: Overloaded, Text: "this node has no memory left to keep the start of " + s.Name, RetryAfter: memoryRetryAfter}
		}
		start, _ := module.Memory().Read(0, module.Memory().Size())
		i.image = append([]byte(nil), start...)
	}
	return i, nil
}

// function returns the function for a name, which may be empty if there is only one.
func (s *Seed) function(name string) (string, error) {
	if name == "" {
		names := s.Facts.Functions()
		if len(names) == 1 {
			return names[0], nil
		}
		return "", &Error{Code: NotFound, Text: fmt.Sprintf("%s has the functions %s: say which", s.Name, strings.Join(names, ", "))}
	}
	if !s.Facts.Offers(name, wasm.Entry) {
		return "", &Error{Code: NotFound, Text: fmt.Sprintf("%s has no function %q: it has %s", s.Name, name, strings.Join(s.Facts.Functions(), ", "))}
	}
	return name, nil
}

// callReactor calls a function of an instance.
func (s *Seed) callReactor(c *Call) error {
	i, err := s.pool.get(c.Deadline)
	if err != nil {
		return err
	}
	f := i.functions[c.Function]
	if f == nil {
		name, err := s.function(c.Function)
		if err != nil {
			s.pool.put(i)
			return err
		}
		f = i.functions[name]
	}
	i.call = c
	i.kill.arm(c.Deadline)
	err = f.CallWithStack(i.ctx, i.stack[:])
	i.kill.disarm()
	i.call = nil
	if err == nil && i.kill.killed.Load() {
		err = sys.NewExitError(sys.ExitCodeDeadlineExceeded) // its sleep was cut short, and it returned before it was killed
	}
	if err != nil {
		i.end()
		return trap(err, time.Duration(s.Timeout))
	}
	status, over := int32(i.stack[0]), i.outputExceeded
	if i.reset() {
		s.pool.put(i)
	}
	switch {
	case over:
		return &Error{Code: TooLarge, Text: fmt.Sprintf("output of more than %d bytes", MaxOutput)}
	case status != 0:
		return &Error{Code: CalleeFailed, Text: strings.TrimSpace(fmt.Sprintf("it returned %d: %s", status, excerpt(c.Output)))}
	}
	return nil
}

func excerpt(output []byte) string {
	return strings.ToValidUTF8(string(output[:min(len(output), 500)]), "?")
}

// reset prepares an instance for the next call, and reports whether it can be reused.
func (i *instance) reset() bool {
	i.uses++
	i.outputExceeded, i.lastError = false, ""
	for _, r := range i.replies {
		i.memory.releaseHost(int64(len(r.data)))
	}
	i.replies = i.replies[:0]
	switch s := i.seed; {
	case s.Instance == intent.Fresh, i.uses >= maxUses:
	case s.Instance != intent.Reset:
		return true
	case i.module.Memory().Size() == uint32(len(i.image)):
		return i.module.Memory().Write(0, i.image)
	}
	i.end() // also if the memory grew: the image would not match the allocator's state
	return false
}

func (i *instance) end() {
	if i.module != nil {
		_ = i.module.Close(context.Background())
	}
	i.memory.Free()
	i.kill.retire()
}

// killSwitch is the context of an instance for all its calls, so that a call allocates none. It ends when a deadline
// passes, which ends the instance.
type killSwitch struct {
	context.Context
	done     chan struct{}
	killed   atomic.Bool
	deadline atomic.Int64 // nanoseconds since epoch; 0 before the first call
	overdue  func()       // called once if a call exceeds its deadline by OverdueGrace
}

// killSwitch returns a switch for a new instance.
func (s *Seed) killSwitch() *killSwitch {
	k := &killSwitch{Context: context.Background(), done: make(chan struct{})}
	if s.Trusted && s.overdue != nil {
		k.overdue = sync.OnceFunc(func() { s.overdue(s.Name) })
	}
	return k
}

// Done implements context.Context.
func (k *killSwitch) Done() <-chan struct{} { return k.done }

// Err implements context.Context.
func (k *killSwitch) Err() error {
	if k.killed.Load() {
		return context.DeadlineExceeded
	}
	return nil
}

func (k *killSwitch) sleep(ns int64) { sleep(k, time.Duration(ns)) }
