package main

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// How long things are left alone.
const (
	quietAfter  = 3 * time.Second  // a draining replica: until all others know not to call it
	uploadGrace = 10 * time.Minute // a blob that nothing names: until the intent that names it is written
	maxManifest = 32 << 20         // bytes
)

// observe reads what is on this node.
func (p *placer) observe(context.Context) (Actual, error) {
	a := Actual{Node: string(p.agent.Node), Self: p.self, Blobs: map[string]Kept{}, Files: map[string][]string{}, Quiet: map[string]bool{}}
	entries, err := p.blobs.List()
	if err != nil && !os.IsNotExist(err) {
		return a, err
	}
	for _, e := range entries {
		a.Blobs[e.Digest] = Kept{Size: e.Size, Old: time.Since(e.Time) > uploadGrace}
	}
	session, said := p.lease.get()
	if said != nil {
		a.Joined, a.Said = true, *said
	}
	a.Mute = session == nil && !p.agent.DryRun
	p.crew.observe(&a)
	a.Ward = p.ward.records()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, since := range p.draining {
		due, may := time.Since(since) >= quietAfter, p.mayGo(a.Workers[name])
		if a.Quiet[name] = due && may; due && !may {
			time.AfterFunc(time.Second, p.nudge) // nobody says when it has nothing left to do
		}
	}
	a.Faults = maps.Clone(p.faults)
	a.Files = maps.Clone(p.files)
	return a, nil
}

// mayGo reports whether a seed may be taken from its worker without loss. The worker of all brings calls under way to
// their end; that of one seed alone ends with it.
func (p *placer) mayGo(s wire.Status) bool {
	return s.Load.Queued == 0 && (s.Load.InFlight == 0 || s.Address == p.self.Address)
}

// filesOf reads which files a manifest names. It is nil for one that cannot be read.
func (p *placer) filesOf(digest string) []string {
	data, err := p.blobs.Read(digest, maxManifest)
	var m intent.Manifest
	if err != nil || json.Unmarshal(data, &m) != nil {
		return nil
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		seen[f.SHA256] = true
		if f.Gzip != "" {
			seen[f.Gzip] = true
		}
	}
	files := make([]string, 0, len(seen))
	for digest := range seen {
		files = append(files, digest)
	}
	return files
}
