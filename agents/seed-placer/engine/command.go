package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
)

// runCommand runs a command: input is standard input, output is standard output, the function is its argument. Each
// call gets its own instance.
func (s *Seed) runCommand(ctx context.Context, c *Call) error {
	ctx, cancel := context.WithDeadline(ctx, c.Deadline)
	defer cancel()
	words := s.lineWriter()
	defer words.flush()
	out := &limitedBuffer{buffer: c.Output, limit: MaxOutput}
	config := s.moduleConfig(func(ns int64) { sleep(ctx, time.Duration(ns)) }, words).
		WithStdin(bytes.NewReader(c.Input)).WithStdout(out).WithArgs(s.Name)
	if c.Function != "" {
		config = config.WithArgs(s.Name, c.Function)
	}
	for _, v := range c.Env {
		name, value, _ := strings.Cut(v, "=")
		config = config.WithEnv(name, value)
	}
	memory, err := s.newMemory()
	if err != nil {
		return err
	}
	defer memory.Free()
	i := &instance{seed: s, call: c, ctx: ctx, memory: memory}
	if s.Trusted && s.overdue != nil {
		watch := time.AfterFunc(time.Until(c.Deadline)+OverdueGrace, func() { s.overdue(s.Name) })
		defer watch.Stop()
	}
	began := time.Now()
	inside := experimental.WithMemoryAllocator(context.WithValue(ctx, instanceKey{}, i), memory)
	module, err := s.runtime.InstantiateModule(inside, s.compiled, config)
	if module != nil {
		_ = module.Close(context.Background())
	}
	c.Output = out.buffer
	var exit *sys.ExitError
	switch {
	case out.exceeded:
		return &Error{Code: TooLarge, Text: fmt.Sprintf("output of more than %d bytes", MaxOutput)}
	case ctx.Err() != nil: // even if it returned: its sleep was cut short
		err = sys.NewExitError(sys.ExitCodeDeadlineExceeded)
	case err == nil || errors.As(err, &exit) && exit.ExitCode() == 0:
		return nil
	}
	return trap(err, time.Since(began).Round(time.Millisecond))
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
