// Package crew runs a handful of programs for as long as one other runs: it starts them again when they end, puts their
// name before each line that they say, and ends them in the order opposite to that in which they were started.
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

// Bounds, in time.
const (
	patience   = 15 * time.Second // from the signal to end until KILL
	firstPause = time.Second      // before a program is started again, doubling
	lastPause  = 30 * time.Second
)

// Member is one program.
type Member struct {
	Name  string
	Path  string
	Args  []string
	Env   []string
	Dir   string
	Stop  syscall.Signal // what tells it to end
	Alone bool           // it gets a network of its own
	After func()         // what is left to do when it has ended, or nil
}

// Crew is all that was started.
type Crew struct {
	mu      sync.Mutex
	out     io.Writer
	colour  bool
	members []*running
}

type running struct {
	Member
	stop context.CancelFunc
	done chan struct{}
}

// New returns a crew that speaks on out. From now on what its programs leave behind is this process's to end.
func New(out io.Writer, colour bool) *Crew {
	adopt()
	return &Crew{out: out, colour: colour}
}

// Start starts a program and returns at once.
func (c *Crew) Start(m Member) {
	ctx, stop := context.WithCancel(context.Background())
	r := &running{m, stop, make(chan struct{})}
	c.members = append(c.members, r)
	first := c.launch(m) // on the caller's thread, with whose end the program ends
	go func() {
		defer close(r.done)
		c.keep(ctx, m, first)
	}()
}

// Stop ends all programs, the last one first, and whatever they left behind, and returns when all of it has ended.
func (c *Crew) Stop() {
	for i := len(c.members) - 1; i >= 0; i-- {
		r := c.members[i]
		r.stop()
		<-r.done
		if r.After != nil {
			r.After()
		}
	}
	c.members = nil
	bury()
}

// process is one run of a program; cmd is nil when it could not be started.
type process struct {
	cmd   *exec.Cmd
	ended chan error
}

func (c *Crew) launch(m Member) process {
	p := process{ended: make(chan error, 1)}
	cmd := exec.Command(m.Path, m.Args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = m.Env, m.Dir, attributes(m)
	// A pipe of our own: Wait must not wait for grandchildren that hold on to it.
	read, write, err := os.Pipe()
	if err == nil {
		cmd.Stdout, cmd.Stderr = write, write
		err = cmd.Start()
		write.Close()
		go c.listen(m.Name, read)
	}
	if err != nil {
		p.ended <- err
		return p
	}
	p.cmd = cmd
	go func() { p.ended <- cmd.Wait() }()
	return p
}

// keep starts a program again whenever it ends, until ctx does; then it ends the program.
func (c *Crew) keep(ctx context.Context, m Member, p process) {
	wait := firstPause
	for {
		started := time.Now()
		select {
		case err := <-p.ended:
			if time.Since(started) > lastPause {
				wait = firstPause
			}
			c.say(m.Name, fmt.Sprintf("ended (%v): starting it again in %s", orDone(err), wait))
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			wait = min(2*wait, lastPause)
			p = c.launch(m)
		case <-ctx.Done():
			p.end(m.Stop)
			return
		}
	}
}

func orDone(err error) any {
	if err == nil {
		return "exit status 0"
	}
	return err
}

// end tells a program to end, and kills it when it does not.
func (p process) end(signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (c *Crew) listen(name string, from io.ReadCloser) {
	defer from.Close()
	lines := bufio.NewReaderSize(from, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			c.say(name, line)
		}
		if err != nil {
			return
		}
	}
}

// say writes one line with the name before it.
func (c *Crew) say(name, line string) {
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
