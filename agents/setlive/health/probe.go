package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// MaxReason bounds what is kept of what a check said, in bytes.
const MaxReason = 200

// Probe asks once and returns nil when the process is healthy, else why it is not. It ends after the check's timeout,
// with everything it started. Its error is [service.ErrUnseen] when it could not ask: that says nothing of the process.
func Probe(ctx context.Context, t Target) error {
	ctx, cancel := context.WithTimeout(ctx, t.Check.Timeout.Or(intent.DefaultTimeout))
	defer cancel()
	if err := t.alive(); err != nil {
		return err
	}
	err := t.ask(ctx)
	gone := t.alive()
	switch {
	case gone != nil:
		return gone // whoever answered, it was not this process
	case starved(err):
		return fmt.Errorf("%w: %w", service.ErrUnseen, err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer within %s", t.Check.Timeout.Or(intent.DefaultTimeout))
	}
	return err
}

var errGone = errors.New("the process has ended")

// alive returns nil while the process runs, else errGone, or [service.ErrUnseen].
func (t Target) alive() error {
	started, alive, err := service.StartOf(t.Process.PID)
	if err == nil && !(alive && started == t.Process.Started) {
		err = errGone
	}
	return err
}

// starved reports whether a check could not be asked for want of what is ours, not the app's.
func starved(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

func (t Target) ask(ctx context.Context) error {
	switch t.Check.Type {
	case intent.HealthHTTP:
		return askHTTP(ctx, t.Check)
	case intent.HealthTCP:
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", Address(t.Check.Port))
		if err != nil {
			return err
		}
		return c.Close()
	case intent.HealthExec:
		return t.exec(ctx)
	}
	return nil
}

// Address is where a check by port asks.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// URL is what a check by http asks for.
func URL(check intent.Health) string {
	path := check.Path
	if path == "" {
		path = "/"
	}
	return "http://" + Address(check.Port) + path
}

func askHTTP(ctx context.Context, check intent.Health) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, URL(check), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "platypus-setlive")
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: the app is on this machine
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, MaxReason))
		return fmt.Errorf("%s: %s", answer.Status, Short(string(body)))
	}
	return nil
}

// exec runs a check of the install, as the app's user and in a group of its own.
func (t Target) exec(ctx context.Context) error {
	name := t.Check.Command[0]
	if !filepath.IsAbs(name) {
		name = filepath.Join(t.Install, name)
	}
	cmd := exec.CommandContext(ctx, name, t.Check.Command[1:]...)
	cmd.Dir = t.Install
	cmd.Env = append(environment(), "PLATYPUS_APP="+t.App, "PLATYPUS_VERSION="+t.Process.Version)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := become(cmd, t.RunAs); err != nil {
		return err
	}
	said := &head{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 100 * time.Millisecond
	err := cmd.Run()
	if cmd.Process != nil { // what it left running behind it ends with it
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		if len(said.kept) == 0 {
			return fmt.Errorf("%s: %w", t.Check.Command[0], err)
		}
		return fmt.Errorf("%s: %w: %s", t.Check.Command[0], err, Short(string(said.kept)))
	}
	return nil
}

// environment is ours without what is ours alone: the app's command has no use for the store's token.
func environment() (kept []string) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "CONSUL_"), strings.HasPrefix(name, "PLATYPUS_"), name == "CREDENTIALS_DIRECTORY",
			name == "NOTIFY_SOCKET", strings.HasPrefix(name, "WATCHDOG_"):
		default:
			kept = append(kept, v)
		}
	}
	return kept
}

// become makes a command run as a user, when we are root and it shall.
func become(cmd *exec.Cmd, name string) error {
	if name == "" || os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("find user %s: %w", name, err)
		}
	}
	c := &syscall.Credential{}
	groups, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("find groups of %s: %w", name, err)
	}
	for _, g := range groups {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(id))
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("read id of %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("read group of %s: %w", name, err)
	}
	c.Uid, c.Gid = uint32(uid), uint32(gid)
	cmd.SysProcAttr.Credential = c
	cmd.Env = append(cmd.Env, "HOME="+u.HomeDir, "USER="+u.Username, "LOGNAME="+u.Username)
	return nil
}

// head keeps the beginning of what is written to it.
type head struct{ kept []byte }

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), 4*MaxReason-len(h.kept))]...)
	return len(p), nil
}

// Short makes one clean line of at most MaxReason bytes.
func Short(text string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(text, "")))
	if len(clean) > MaxReason {
		clean = strings.ToValidUTF8(clean[:MaxReason], "")
	}
	return clean
}
