package main

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/agents/seed-placer/blob"
	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/intent"
)

func flags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "serve", Usage: "answer calls, sites and blobs at HOST:PORT", Value: "127.0.0.1:8080", EnvVars: agent.Env("serve")},
		&cli.StringFlag{Name: "socket", Usage: "unix socket at which blobs are put (default: seeds.sock in --state-dir)", EnvVars: agent.Env("seed-socket")},
		&cli.StringFlag{Name: "region", Usage: "region of this node, for seeds that name one (default: the inventory's)", EnvVars: agent.Env("region")},
		&cli.StringSliceFlag{Name: "label", Usage: "`KEY=VALUE` of this node, over the inventory's; calls stay within one \"zone\" where they can", EnvVars: agent.Env("label")},
		&cli.StringFlag{Name: "memory", Usage: "what all seeds here may have together, such as 8GiB, or \"none\" for no bound (default: half of the machine's)", EnvVars: agent.Env("memory")},
		&cli.IntFlag{Name: "weight", Usage: "share of the seeds that this node takes, beside others", Value: 1, EnvVars: agent.Env("weight")},
		&cli.DurationFlag{Name: "calm", Usage: "a seed that has had less to do for so long gives replicas and idle instances back", Value: time.Minute, EnvVars: agent.Env("calm")},
		&cli.DurationFlag{Name: "compile-time", Usage: "processor time that a module may take to be compiled, and 10s for each MiB of it; then it is parked", Value: 30 * time.Second, EnvVars: agent.Env("compile-time")},
		&cli.BoolFlag{Name: "closed", Usage: "take nothing new, and give away what is here", EnvVars: agent.Env("closed")},
		&cli.BoolFlag{Name: "open-to-network", Usage: "let --serve be at an address beyond this machine, for everybody there", EnvVars: agent.Env("open-to-network")},
	}, tlsFlags()...)
}

// placer holds what observe and apply need.
type placer struct {
	agent      *agent.Agent
	self       intent.Host
	workers    *workers
	session    *sessionKeeper
	writes     *recentWrites
	quarantine *quarantine
	wakeups    chan struct{}
	tls        *nodeTLS
	blobs      *blob.Store
	socket     string // path of the unix socket that takes uploads
	fetches    slots
	passState
}

// passState passes data from a plan to its steps, and from steps to the next pass.
type passState struct {
	mu            sync.Mutex
	inventory     *InventoryRecord     // last valid record of this node
	host          intent.Host          // this node as it must be announced
	nextConfigs   workerConfigs        // planned configuration of the workers
	desired       Desired              // input of the current plan
	draining      map[string]time.Time // since when, by seed
	manifestFiles map[string][]string  // files that a manifest names, by its digest
	faults        map[string]string
}

func newPlacer(ctx context.Context, c *cli.Context, a *agent.Agent) (*placer, error) {
	self, err := hostFromFlags(c)
	if err != nil {
		return nil, err
	}
	tls, err := openNodeTLS(c)
	if err != nil {
		return nil, err
	}
	p := &placer{agent: a, self: self, writes: newRecentWrites(), wakeups: make(chan struct{}, 1), tls: tls,
		socket: c.String("socket"), fetches: make(slots, maxFetches),
		passState: passState{draining: map[string]time.Time{}, manifestFiles: map[string][]string{}, faults: map[string]string{}}}
	if a.DryRun {
		p.quarantine, _ = openQuarantine("")
		p.blobs, p.workers, p.session = blob.At(filepath.Join(a.StateDir, "blobs")), &workers{}, &sessionKeeper{}
		return p, nil
	}
	if p.blobs, err = blob.Open(filepath.Join(a.StateDir, "blobs")); err != nil {
		return nil, err
	}
	if p.quarantine, err = openQuarantine(filepath.Join(a.StateDir, "quarantine.json")); err != nil {
		a.Log.Warn("", err.Error())
	}
	listeners, err := openListeners(ctx, self.Address, tls.address)
	if err != nil {
		return nil, err
	}
	p.self.Address = listeners.address
	p.workers = newWorkers(ctx, p, listeners, max(time.Second, c.Duration("calm")), c.Duration("compile-time"))
	if err := p.restoreConfig(ctx); err != nil {
		return nil, err
	}
	p.session = newSessionKeeper(ctx, a.Store, "seed-placer-"+string(a.Node), p.onSessionChange)
	if p.socket == "" {
		p.socket = filepath.Join(a.StateDir, "seeds.sock")
	}
	if tls.reloader != nil {
		disableDumps()
		go p.watchCertificates(ctx)
	}
	return p, p.serveSocket(ctx, p.socket)
}

// hostFromFlags returns this node as its flags describe it.
func hostFromFlags(c *cli.Context) (intent.Host, error) {
	h := intent.Host{Address: c.String("serve"), Region: c.String("region"), Weight: c.Int("weight"), Closed: c.Bool("closed"), Labels: map[string]string{}}
	host, _, err := net.SplitHostPort(h.Address)
	if err != nil {
		return h, agent.Usage("--serve %q is not HOST:PORT: %w", h.Address, err)
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) && !c.Bool("open-to-network") {
		return h, agent.Usage("--serve %s can be reached from other machines, and anybody there could call every seed: stay on 127.0.0.1 and answer other nodes with certificates at --serve-tls, or say --open-to-network", h.Address)
	}
	if ip != nil && ip.IsUnspecified() {
		return h, agent.Usage("--serve %s: name the very address by which other nodes reach this one", h.Address)
	}
	if h.Weight < 1 || h.Weight > 1000 {
		return h, agent.Usage("--weight must be within 1 to 1000")
	}
	if h.Memory, err = parseMemoryFlag(c.String("memory")); err != nil {
		return h, err
	}
	for _, label := range c.StringSlice("label") {
		key, value, ok := strings.Cut(label, "=")
		if !ok || key == "" {
			return h, agent.Usage("--label %q is not KEY=VALUE", label)
		}
		h.Labels[key] = value
	}
	return h, nil
}

func parseMemoryFlag(text string) (intent.Size, error) {
	switch text {
	case "":
		return machineMemory() / 2, nil
	case "none":
		return 0, nil
	}
	size, err := intent.ParseSize(text)
	if err != nil {
		return 0, agent.Usage("--memory: %w", err)
	}
	return size, nil
}

// onSessionChange drops state tied to the previous session.
func (p *placer) onSessionChange() {
	p.writes.dropClaims()
	p.mu.Lock()
	clear(p.draining)
	p.mu.Unlock()
	p.wake()
}

// wake requests a pass.
func (p *placer) wake() {
	select {
	case p.wakeups <- struct{}{}:
	default:
	}
}

// guard protects seeds and sites from being removed by mistake.
func (p *placer) guard() *converge.Guard[Desired, Actual] {
	return &converge.Guard[Desired, Actual]{
		Owned: func(a Actual) (names []string) {
			for name := range a.Sent {
				names = append(names, name)
			}
			for name := range a.Served {
				names = append(names, siteSubject(name))
			}
			return names
		},
		Wanted: func(d Desired) (names []string) {
			for _, w := range d.Seeds {
				names = append(names, w.Name)
			}
			for _, w := range d.Sites {
				names = append(names, w.subject())
			}
			return names
		},
		Gone: func(ctx context.Context, name string) (bool, error) {
			if site, ok := strings.CutPrefix(name, sitePrefix); ok {
				return p.agent.Store.Gone(ctx, p.agent.Tree.Site(intent.Name(site)))
			}
			return p.agent.Store.Gone(ctx, p.agent.Tree.Seed(intent.Name(name)))
		},
		Confirmed: p.agent.Confirmed,
		Hold: func(d Desired, subjects map[string]string, everything *converge.Held) Desired {
			d.Held = map[string]string{}
			for name, reason := range subjects {
				d.Held[name] = reason
			}
			if everything != nil {
				for _, w := range d.Seeds {
					d.Held[w.Name] = everything.String()
				}
				for _, w := range d.Sites {
					d.Held[w.subject()] = everything.String()
				}
			}
			return d
		},
	}
}

// cacheDir returns the folder of a worker's compiled code. Workers do not share one: whoever writes there can run
// code as the reader.
func (p *placer) cacheDir(name string) string {
	if name == sharedWorker {
		return filepath.Join(p.agent.StateDir, "compiled", ".front")
	}
	return filepath.Join(p.agent.StateDir, "compiled", name)
}

// executable returns the path of this program, which the workers run.
func executable() (string, error) { return os.Executable() }

// plan stores what the steps of this pass need, and returns the steps.
func (p *placer) plan(d Desired, a Actual) []Step {
	d, a.Self = p.writes.overlay(d, a), p.resolveSelf(d)
	p.quarantine.dropOutdated(d)
	named := manifestDigests(d, a)
	maps.DeleteFunc(a.Files, func(digest string, _ []string) bool { return !named[digest] })
	for digest := range named {
		if _, here := a.Blobs[digest]; here && a.Files[digest] == nil {
			a.Files[digest] = p.readManifestFiles(digest)
		}
	}
	p.mu.Lock()
	p.desired, p.nextConfigs, p.manifestFiles = d, desiredConfigs(d, a), a.Files
	p.mu.Unlock()
	return plan(d, a)
}

// states returns the state of each subject, with this node's recent writes applied.
func (p *placer) states(d Desired, a Actual) map[string]converge.State {
	a.Self = p.resolveSelf(d)
	return states(p.writes.overlay(d, a), a)
}

// removeCompiled deletes the compiled code of a module that was deleted.
func (p *placer) removeCompiled(digest string) error {
	dirs, err := filepath.Glob(p.cacheDir("*"))
	for _, dir := range append(dirs, p.cacheDir(sharedWorker)) {
		err = errors.Join(err, engine.Forget(dir, digest))
	}
	return err
}
