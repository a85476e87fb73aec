package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

const (
	// observeTimeout bounds one look at the firewall.
	observeTimeout = 20 * time.Second
	// otherBackendPeriod is the time between two looks at the back-end that is not in use.
	otherBackendPeriod = time.Minute
)

// firewall is the host's firewall in one family. One iptables-save shows the chain, its rules and the jump at one
// moment; a library that runs iptables -S chain by chain would run more programs and could see two moments.
type firewall struct {
	family        Family
	program       string // iptables-save is this with "-save" behind it
	otherChecked  time.Time
	otherBackend  string // the other back-end, when it held our chain as we last looked
	cached        *Chain // what was seen last, while at or sum tell whether it still holds; nil when nothing can tell
	nftGeneration uint32 // the generation of nftables just before seen was looked at
	xtables       bool   // the back-end is legacy, and its table filter is there
	tableSum      uint64 // of that table just before seen was looked at
	buffer        []byte // for the next look at it
	judgement     chainCheck
}

// newFirewall returns the firewall behind a program such as iptables, /sbin/iptables-nft or iptables-legacy.
func newFirewall(family Family, program string) *firewall {
	if family == V6 {
		dir, base := filepath.Split(program)
		program = dir + "ip6tables" + strings.TrimPrefix(base, "iptables")
	}
	return &firewall{family: family, program: program}
}

// observe looks at both families at once.
func observe(ctx context.Context, firewalls []*firewall) (map[Family]*Chain, error) {
	var all sync.WaitGroup
	seen := make([]*Chain, len(firewalls))
	for i, w := range firewalls {
		all.Go(func() { seen[i] = w.checkOtherChains(w.observe(ctx)) })
	}
	all.Wait()
	chains := map[Family]*Chain{}
	for i, w := range firewalls {
		chains[w.family] = seen[i]
	}
	return chains, ctx.Err()
}

func (w *firewall) observe(ctx context.Context) *Chain {
	if w.family == V6 && !speaksV6() {
		return &Chain{Unusable: "this host does not speak IPv6", Absent: true}
	}
	at, known := generation()
	if known && !w.xtables && w.cached != nil && at == w.nftGeneration && time.Since(w.otherChecked) < otherBackendPeriod {
		return w.cached
	}
	if chain := w.readXtables(); chain != nil {
		return chain
	}
	w.cached, w.nftGeneration = nil, at
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	out, err := host.Run(ctx, nil, w.program+"-save", "-t", "filter")
	if err != nil {
		return &Chain{Unusable: w.explain(err).Error()}
	}
	text := string(out)
	if strings.Contains(text, "is incompatible, use 'nft' tool") {
		return &Chain{Unusable: "table filter was made by nft and not by iptables: rename that table, for two tools cannot share it"}
	}
	chain := parseChain(text)
	if now := time.Now(); now.Sub(w.otherChecked) > otherBackendPeriod || w.otherBackend != "" {
		w.otherChecked, w.otherBackend = now, w.checkOtherBackend(ctx, text)
	}
	chain.OtherBackend = w.otherBackend
	w.xtables = !nft(text) && strings.Contains(text, "*filter\n")
	if known && nft(text) && w.otherBackend == "" || w.xtables {
		w.cached = chain
	}
	return chain
}

// readXtables looks at the table of the legacy back-end without a program. It returns nil when iptables-save is to be
// asked: also once in a while, so that nobody relies on it alone.
func (w *firewall) readXtables() *Chain {
	if !w.xtables {
		return nil
	}
	was := w.tableSum
	table, ok := readTable(w.family, w.buffer)
	if w.tableSum = 0; !ok {
		return nil
	}
	w.buffer, w.tableSum = table.buffer, table.sum // also for what iptables-save is about to say: it is not older
	switch {
	case w.otherBackend != "" || time.Since(w.otherChecked) > otherBackendPeriod:
		return nil
	case w.cached != nil && was == table.sum:
		return w.cached
	}
	chain, ok := parseTable(table)
	if !ok {
		return nil
	}
	w.cached = chain
	return chain
}

// speaksV6 reports whether the kernel was started with IPv6.
func speaksV6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return !errors.Is(err, os.ErrNotExist)
}

// parseChain reads the output of iptables-save.
func parseChain(text string) *Chain {
	c := &Chain{Rules: map[intent.Name][]Rule{}}
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if rule, ours := strings.CutPrefix(line, "-A "+chainName+" "); ours {
			c.add(rule)
			continue
		}
		switch {
		case strings.HasPrefix(line, ":"+chainName+" "):
			c.Exists = true
		case strings.TrimSpace(line) == "-A "+jump:
			c.Jumps++
		case c.Jumps == 0 && strings.HasPrefix(line, "-A INPUT ") && mayRefuse(line):
			if c.RulesBefore++; c.RulesBefore == 1 {
				c.FirstBefore = line
			}
		}
	}
	if c.Jumps == 0 {
		c.RulesBefore, c.FirstBefore = 0, "" // the jump will be made the first of all
	}
	return c
}

// add takes over one rule of the chain, as iptables-save prints it.
func (c *Chain) add(rule string) {
	node, marks := parseMark(rule)
	if marks && c.Node == "" {
		c.Node = node
		return
	}
	if app, r := parseRule(rule); app != "" {
		c.Rules[app] = append(c.Rules[app], r)
	} else {
		c.Strays++
	}
}

// mayRefuse reports whether a rule may keep a packet from the rules below it without letting it in.
func mayRefuse(rule string) bool {
	_, target, _ := strings.Cut(rule, " -j ")
	target, _, _ = strings.Cut(target, " ")
	switch target {
	case "", "ACCEPT", "LOG", "NFLOG", "MARK", "CONNMARK":
		return strings.Contains(rule, " -g ")
	}
	return true
}

// checkOtherBackend returns the program of the back-end that is not in use when that holds our chain: rules of two
// back-ends do not add up, since a packet must pass both. A look must not load what is not loaded, hence the look into
// /proc.
func (w *firewall) checkOtherBackend(ctx context.Context, saved string) string {
	dir, base := filepath.Split(w.program)
	base, _, _ = strings.Cut(base, "-")
	other := dir + base + "-nft"
	if nft(saved) {
		other = dir + base + "-legacy"
		loaded, err := os.ReadFile("/proc/net/" + strings.TrimSuffix(base, "tables") + "_tables_names")
		if err != nil || !strings.Contains(string(loaded), "filter\n") {
			return ""
		}
	}
	out, err := host.Run(ctx, nil, other+"-save", "-t", "filter")
	if err != nil || !strings.Contains(string(out), "\n:"+chainName+" ") {
		return ""
	}
	return other
}

// nft reports whether the nft back-end printed this.
func nft(saved string) bool {
	header, _, _ := strings.Cut(saved, "\n")
	return strings.Contains(header, "(nf_tables)")
}

// explain turns what iptables says into what a person can do about it.
func (w *firewall) explain(err error) error {
	text := err.Error()
	switch {
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s is not on this host: install the package iptables, or choose another with --iptables", w.program)
	case denied(text):
		return fmt.Errorf("no right to change the firewall: run as root, or with CAP_NET_ADMIN and CAP_NET_RAW: %w", err)
	}
	return err
}

func denied(text string) bool {
	return strings.Contains(text, "ermission denied") || strings.Contains(text, "must be root") || strings.Contains(text, "not permitted")
}
