package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// lastGood are the ports that intent last asked for soundly, by app. The kernel forgets them at a flush and at a
// reboot, and intent no longer says them while it cannot be used; so they are kept in the state directory, as a cache
// that may be lost. Only an app without a single rule of a family gets them back: what the kernel still has is newer.
type lastGood struct {
	path  string
	of    string // node and root: what was kept for another is nobody's
	told  string // the last fault, which is said once
	bad   bool   // the file is damaged: it is moved aside at the next write
	late  bool   // what is in good is still to be written
	ports map[intent.Name][]intent.Port
}

// lastGoodFile is the form of the file. Its ports are spelled member by member, as they are in memory.
type lastGoodFile struct {
	Of    string                       `json:"of"`
	Ports map[intent.Name][]portOnFile `json:"ports"`
}

type portOnFile intent.Port

// openLastGood reads what was kept. A damaged file counts as absent.
func openLastGood(dir, of string) (l *lastGood, err error) {
	l = &lastGood{path: filepath.Join(dir, "ports.json"), of: of, ports: map[intent.Name][]intent.Port{}}
	var k lastGoodFile
	switch err := host.ReadCache(l.path, &k); {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		l.bad = true
		return l, fmt.Errorf("remembered ports: %w", err)
	}
	for app, ports := range k.Ports {
		if k.Of != l.of {
			break
		}
		for _, p := range ports {
			l.ports[app] = append(l.ports[app], intent.Port(p))
		}
	}
	return l, nil
}

// save takes over what intent says of sound apps, forgets those that the node no longer has, and leaves the others as
// they are. It writes only what differs, and when the firewall is being changed just now, a pass later: the disk is not
// to slow that down.
func (l *lastGood) save(n intent.Node, busy bool) error {
	good := make(map[intent.Name][]intent.Port, len(n.Apps))
	for _, app := range n.Apps {
		ports := app.Deploy.Ports
		if !app.Sound() {
			ports = l.ports[app.Name]
		}
		if len(ports) > 0 {
			good[app.Name] = ports
		}
	}
	news := !reflect.DeepEqual(good, l.ports)
	if l.ports = good; !news && !l.late && l.told == "" && !l.bad {
		return nil
	}
	if busy && news && !l.late {
		l.late = true
		return nil
	}
	l.late = false
	if l.bad {
		_, _ = host.Aside(l.path)
		l.bad = false
	}
	k := lastGoodFile{Of: l.of, Ports: make(map[intent.Name][]portOnFile, len(good))}
	for app, ports := range good {
		for _, p := range ports {
			k.Ports[app] = append(k.Ports[app], portOnFile(p))
		}
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return fmt.Errorf("remember ports: %w", err)
	}
	if err := host.WriteCache(l.path, k); err != nil {
		return fmt.Errorf("remember ports: %w", err)
	}
	return nil
}
