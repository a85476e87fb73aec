package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/intent"
)

// CompileSubcommand is the first argument of a process that compiles one module for a worker.
const CompileSubcommand = "compile"

// Limits of a compile process, besides the processor time that every module has.
const (
	defaultCompile = 30 * time.Second
	compilePerMiB  = 10 * time.Second // processor time for each MiB of the module
	compileMemory  = 1 << 30          // bytes
	memoryPerByte  = 64               // bytes for each byte of the module
	wallFactor     = 10               // wall-clock limit as a multiple of the processor time, for busy machines
)

// CompileMain is the main function of a process that compiles the module on its standard input into a directory. It
// returns the exit code. The arguments are the directory, the name of the seed, the digest of the module, "trusted"
// or "checked", the memory of an instance, and the limit of processor time.
func CompileMain() int {
	if err := compileArgs(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func compileArgs(args []string) error {
	if len(args) != 6 {
		return errors.New("it is started by a worker, not by hand")
	}
	processor, err := time.ParseDuration(args[5])
	if err != nil {
		return err
	}
	memory, err := strconv.ParseInt(args[4], 10, 64)
	if err != nil {
		return err
	}
	module, err := io.ReadAll(io.LimitReader(os.Stdin, maxModule+1))
	if err != nil {
		return err
	}
	if err := limitProcess(); err != nil {
		return err
	}
	if err := limitCompiling(processor, compileMemory+memoryPerByte*uint64(len(module))); err != nil {
		return err
	}
	spec := engine.Spec{Name: args[1], Digest: args[2], Trusted: args[3] == "trusted", Bounds: intent.Bounds{Memory: intent.Size(memory)}}
	return engine.Compile(context.Background(), args[0], spec, module)
}

// compileTime returns the limit of processor time for a module.
func compileTime(limit time.Duration, module []byte) time.Duration {
	if limit <= 0 {
		limit = defaultCompile
	}
	return limit + compilePerMiB*time.Duration(len(module)>>20)
}

// compileApart compiles a module in a separate process, which ends within its limits whatever the module contains.
func compileApart(ctx context.Context, dir string, spec engine.Spec, module []byte, limit time.Duration) error {
	program, err := ownProgram()
	if err != nil {
		return err
	}
	limit = compileTime(limit, module)
	late, cancel := context.WithTimeout(ctx, wallFactor*limit)
	defer cancel()
	kind := "checked"
	if spec.Trusted {
		kind = "trusted"
	}
	cmd := exec.CommandContext(late, program, CompileSubcommand, dir, spec.Name, spec.Digest, kind,
		fmt.Sprint(int64(spec.Memory)), limit.String())
	stderr := &firstLine{}
	cmd.Args[0], cmd.Env, cmd.Stdin, cmd.Stderr, cmd.SysProcAttr = os.Args[0], []string{}, bytes.NewReader(module), stderr, parentDeathSignal()
	cmd.WaitDelay = time.Second
	runtime.LockOSThread() // the parent death signal is bound to this thread
	err = cmd.Run()
	runtime.UnlockOSThread()
	switch used := cmd.ProcessState; {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case late.Err() != nil, used != nil && used.UserTime()+used.SystemTime() > limit-time.Second && !used.Exited():
		return fmt.Errorf("%w: more than %v of processor time, which it may have (--compile-time)", engine.ErrTooLong, limit)
	case stderr.text() != "":
		return errors.New(stderr.text())
	}
	return fmt.Errorf("the process that compiles ended: %w", err)
}

// firstLine keeps the first line written to it, up to 1000 bytes of output.
type firstLine struct{ data []byte }

// Write implements io.Writer.
func (t *firstLine) Write(p []byte) (int, error) {
	t.data = append(t.data, p[:min(len(p), 1000-min(len(t.data), 1000))]...)
	return len(p), nil
}

func (t *firstLine) text() string {
	line, _, _ := strings.Cut(string(t.data), "\n")
	return strings.TrimPrefix(strings.ToValidUTF8(line, "?"), "compile: ")
}
