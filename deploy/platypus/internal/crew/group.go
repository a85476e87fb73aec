// Package crew runs a group of programs: it restarts those that end, prefixes their output lines with their name and
// stops them in reverse order of their start.
package crew

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Time limits.
const (
	stopTimeout = 15 * time.Second // from the stop signal to KILL
	firstPause  = time.Second      // before a restart; doubles
	lastPause   = 30 * time.Second
)

// Program is one program of a group.
type Program struct {
	Name       string
	Path       string
	Args       []string
	Env        []string
	Dir        string
	StopSignal syscall.Signal // the signal that requests a graceful stop
	OwnNetwork bool           // runs in its own network namespace
	OnExit     func()         // called after the program ended; may be nil
}

// Group holds the programs that were started.
type Group struct {
	mu       sync.Mutex
	out      io.Writer
	colour   bool
	programs []*supervisor
}

type supervisor struct {
	Program
	stop context.CancelFunc
	done chan struct{}
}

// New returns a group that prints to out. This process becomes the subreaper of everything that its programs leave
// behind.
func New(out io.Writer, colour bool) *Group {
	becomeSubreaper()
	return &Group{out: out, colour: colour}
}

// Start starts a program and returns at once.
func (c *Group) Start(m Program) {
	ctx, stop := context.WithCancel(context.Background())
	r := &supervisor{m, stop, make(chan struct{})}
	c.programs = append(c.programs, r)
	first := c.launch(m) // on the caller's thread: the program ends with that thread
	go func() {
		defer close(r.done)
		c.supervise(ctx, m, first)
	}()
}

// Stop stops all programs in reverse order, then their orphans, and returns when all have ended.
func (c *Group) Stop() {
	for i := len(c.programs) - 1; i >= 0; i-- {
		r := c.programs[i]
		r.stop()
		<-r.done
		if r.OnExit != nil {
			r.OnExit()
		}
	}
	c.programs = nil
	killOrphans()
}

// process is one run of a program; cmd is nil if it could not be started.
type process struct {
	cmd   *exec.Cmd
	ended chan error
}

func (c *Group) launch(m Program) process {
	p := process{ended: make(chan error, 1)}
	cmd := exec.Command(m.Path, m.Args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = m.Env, m.Dir, sysProcAttr(m)
	// Uses a separate pipe, because Wait would wait for grandchildren that keep it open.
	read, write, err := os.Pipe()
	if err == nil {
		cmd.Stdout, cmd.Stderr = write, write
		err = cmd.Start()
		write.Close()
		go c.relayOutput(m.Name, read)
	}
	if err != nil {
		p.ended <- err
		return p
	}
	p.cmd = cmd
	go func() { p.ended <- cmd.Wait() }()
	return p
}

// supervise restarts a program until ctx ends; then it stops the program.
func (c *Group) supervise(ctx context.Context, m Program, p process) {
	wait := firstPause
	for {
		started := time.Now()
		select {
		case err := <-p.ended:
			if time.Since(started) > lastPause {
				wait = firstPause
			}
			c.printLine(m.Name, fmt.Sprintf("ended (%v): starting it again in %s", exitText(err), wait))
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			wait = min(2*wait, lastPause)
			p = c.launch(m)
		case <-ctx.Done():
			p.end(m.StopSignal)
			return
		}
	}
}

func exitText(err error) any {
	if err == nil {
		return "exit status 0"
	}
	return err
}

// end signals a program to stop and kills it after stopTimeout.
func (p process) end(signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (c *Group) relayOutput(name string, from io.ReadCloser) {
	defer from.Close()
	lines := bufio.NewReaderSize(from, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			c.printLine(name, line)
		}
		if err != nil {
			return
		}
	}
}

// printLine prints one line with the name as its prefix.
func (c *Group) printLine(name, line string) {
	prefix := fmt.Sprintf("%-14s | ", name)
	if c.colour {
		prefix = "\x1b[36m" + prefix + "\x1b[0m"
	}
	if n := len(line); n == 0 || line[n-1] != '\n' {
		line += "\n"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(c.out, prefix+line)
}
