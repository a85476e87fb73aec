package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
)

// open makes the loop out of the flags.
func open(_ context.Context, c *cli.Context, a *agent.Agent) (*converge.Loop[intent.Node, Actual, converge.Step], error) {
	p, program, dir := &portAuthority{lastLogged: map[Family]string{}, dryRun: a.DryRun}, c.String("iptables"), c.String("config-dir")
	p.warn = func(text string) { a.Log.Warn("", text) }
	if !strings.HasPrefix(filepath.Base(program), "iptables") {
		return nil, agent.Usage("--iptables %q is not a program named iptables or iptables-…", program)
	}
	switch {
	case dir == "" && c.String("cmd") != "":
		return nil, agent.Usage("--cmd needs --config-dir: it is run when files there changed")
	case dir != "":
		p.files = &compatDir{dir: dir, state: a.StateDir, command: c.String("cmd"), timeout: c.Duration("cmd-timeout")}
	}
	if c.Bool("chain") || dir == "" {
		p.firewalls = []*firewall{newFirewall(V4, program), newFirewall(V6, program)}
		var err error
		if p.lastGood, err = openLastGood(a.StateDir, string(a.Tree.Node(a.Node))); err != nil {
			p.warn(err.Error())
		}
	}
	loop := &converge.Loop[intent.Node, Actual, converge.Step]{
		Observe: p.observe, Plan: plan, Apply: p.apply, States: p.states,
		Guard: agent.GuardApps(a, Actual.owned, nodeOf),
	}
	if !c.IsSet("resync") {
		loop.Resync = 10 * time.Second // short: whoever flushes the firewall closes ports
	}
	return loop, nil
}
