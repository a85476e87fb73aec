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

// Grace periods and bounds.
const (
	drainDelay  = 3 * time.Second  // of a draining replica, until all other nodes have stopped calling it
	uploadGrace = 10 * time.Minute // of an unreferenced blob, until the intent that names it is written
	maxManifest = 32 << 20         // bytes
)

// observe reads the state of this node.
func (p *placer) observe(context.Context) (Actual, error) {
	a := Actual{Node: string(p.agent.Node), Self: p.self, Blobs: map[string]LocalBlob{}, Files: map[string][]string{}, Drained: map[string]bool{}}
	entries, err := p.blobs.List()
	if err != nil && !os.IsNotExist(err) {
		return a, err
	}
	for _, e := range entries {
		a.Blobs[e.Digest] = LocalBlob{Size: e.Size, Old: time.Since(e.Time) > uploadGrace}
	}
	session, announced := p.session.get()
	if announced != nil {
		a.Joined, a.Announced = true, *announced
	}
	a.NoSession = session == nil && !p.agent.DryRun
	p.workers.observe(&a)
	a.Suspects = p.quarantine.records()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, since := range p.draining {
		due, canStop := time.Since(since) >= drainDelay, p.canStop(a.Workers[name])
		if a.Drained[name] = due && canStop; due && !canStop {
			time.AfterFunc(time.Second, p.wake) // nothing signals the end of its last call
		}
	}
	a.Faults = maps.Clone(p.faults)
	a.Files = maps.Clone(p.manifestFiles)
	return a, nil
}

// canStop reports whether a seed can be removed from its worker without losing calls. The shared worker finishes
// calls in progress; a single-seed worker ends with its seed.
func (p *placer) canStop(s wire.Status) bool {
	return s.Load.Queued == 0 && (s.Load.InFlight == 0 || s.Address == p.self.Address)
}

// readManifestFiles returns the digests that a manifest names, or nil if it cannot be read.
func (p *placer) readManifestFiles(digest string) []string {
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
