package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// maxOutput bounds what is kept of a command's complaint.
const maxOutput = 2000

// Run runs a command with stdin as its input and returns its output. It ends with ctx, together with everything that
// it started. The error holds what the command complained about.
func Run(ctx context.Context, stdin io.Reader, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), &CommandError{Name: name, Args: args, Text: truncate(stderr.String()), Err: err}
	}
	return stdout.Bytes(), nil
}

// CommandError says which command ended badly and what it said.
type CommandError struct {
	Name string
	Args []string
	Text string // of its standard error, trimmed and cut
	Err  error  // usually an *exec.ExitError
}

// Error is one line.
func (e *CommandError) Error() string {
	line := strings.Join(append([]string{e.Name}, e.Args...), " ")
	if e.Text == "" {
		return fmt.Sprintf("run %s: %v", line, e.Err)
	}
	return fmt.Sprintf("run %s: %v: %s", line, e.Err, strings.ReplaceAll(e.Text, "\n", "; "))
}

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Err }

func truncate(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxOutput {
		return strings.ToValidUTF8(text[:maxOutput], "") + "…"
	}
	return text
}
