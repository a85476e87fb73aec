package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// How long and how often another program's hold of the firewall is waited out before it is spoken of.
const (
	lockSeconds   = "5"
	lockTries     = 3
	commitTimeout = 3 * time.Second // for a commit under way when the agent is to stop
	busy          = 4               // the exit code of iptables that says: try again
)

// portAuthority is all that this agent writes to.
type portAuthority struct {
	firewalls  []*firewall
	files      *compatDir // nil: the files of 2014 are not written
	lastGood   *lastGood
	warn       func(text string)
	lastLogged map[Family]string // what was warned of last

	dryRun bool
}

func (p *portAuthority) observe(ctx context.Context) (a Actual, err error) {
	if len(p.firewalls) > 0 {
		if a.Chains, err = observe(ctx, p.firewalls); err != nil {
			return a, err
		}
		if why := a.unusableReason(); p.dryRun && why != "" {
			return a, errors.New(why) // an empty plan would say that all is well
		}
	}
	if p.lastGood != nil {
		a.LastGood = p.lastGood.ports
	}
	if p.files != nil {
		a.Files, err = p.files.read()
	}
	return a, err
}

// states is [states], and remembers what it is about: by now the steps are under way, and wait for no disk.
func (p *portAuthority) states(n intent.Node, a Actual) map[string]converge.State {
	all := states(n, a)
	if p.lastGood != nil {
		text, busy := "", false
		for family := range a.Chains {
			busy = busy || all[chainSubject(family)].Phase == converge.Working
		}
		if err := p.lastGood.save(n, busy); err != nil {
			text = err.Error()
		}
		if text != p.lastGood.told && text != "" {
			p.warn(text)
		}
		p.lastGood.told = text
	}
	for family, chain := range a.Chains {
		text, state := "", all[chainSubject(family)]
		if state.Phase == converge.Failed || state.Phase == converge.Converged && (chain.RulesBefore > 0 || chain.OtherChains.Unreadable != "") {
			text = fmt.Sprintf("%s: %s", chainSubject(family), state.Reason)
		}
		if p.lastLogged[family] != text && text != "" {
			p.warn(text)
		}
		p.lastLogged[family] = text
	}
	return all
}

// apply does one step.
func (p *portAuthority) apply(ctx context.Context, step converge.Step) error {
	switch s := step.(type) {
	case Restore:
		for _, w := range p.firewalls {
			if w.family == s.Family {
				return w.restore(ctx, s.Input)
			}
		}
	case WriteFile:
		return p.files.write(s)
	case RemoveFile:
		return p.files.remove(s)
	case Rebuild:
		return p.files.rebuild(ctx, s)
	}
	return fmt.Errorf("apply %T: not a step of this agent", step)
}

// restore commits input whole or not at all, so it may be killed at any moment; an agent that stops only gives it the
// time to end by itself. Both back-ends check every line before they change anything: a trial with --test would only
// double the time.
func (w *firewall) restore(ctx context.Context, input string) (err error) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(commitTimeout, cancel) })()
	for range lockTries {
		_, err = host.Run(run, strings.NewReader(input), w.program+"-restore", "--noflush", "-w", lockSeconds)
		var exit *exec.ExitError
		if err == nil || ctx.Err() != nil || denied(err.Error()) || !errors.As(err, &exit) || exit.ExitCode() != busy {
			break
		}
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("rebuild %s: %w%s", chainName, w.explain(err), refused(err.Error(), input))
}

var atLine = regexp.MustCompile(`line:? (\d+)`)

// refused returns the rule that a complaint is about, when it names a line of input.
func refused(complaint, input string) string {
	found := atLine.FindStringSubmatch(complaint)
	if found == nil {
		return ""
	}
	n, err := strconv.Atoi(found[1])
	lines := strings.Split(input, "\n")
	if err != nil || n < 1 || n > len(lines) || lines[n-1] == "COMMIT" {
		return ""
	}
	return fmt.Sprintf(": line %d is %q", n, lines[n-1])
}
