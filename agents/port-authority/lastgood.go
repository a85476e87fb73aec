package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// lastGood are the ports that intent last asked for soundly, by app. The kernel forgets them at a flush and at a reboot,
// and intent no longer says them while it cannot be used; so they are kept in the state directory, as a cache that may be
// lost. Only an app without a single rule of a family gets them back: what the kernel still has is newer.
type lastGood struct {
	path string
	of   string // node and root: what was kept for another is nobody's
	told string // the last fault, which is said once
	bad  bool   // the file is damaged: it is moved aside at the next write
	good map[intent.Name][]intent.Port
}

// kept is the form of the file. Its ports are spelled member by member, as they are in memory.
type kept struct {
	Of    string                       `json:"of"`
	Ports map[intent.Name][]portOnFile `json:"ports"`
}

type portOnFile intent.Port

// openLastGood reads what was kept. A damaged file counts as absent.
func openLastGood(dir, of string) (l *lastGood, err error) {
	l = &lastGood{path: filepath.Join(dir, "ports.json"), of: of, good: map[intent.Name][]intent.Port{}}
	file, err := os.ReadFile(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = l.decode(file)
	}
	if err != nil {
		l.bad = true
		return l, fmt.Errorf("read remembered ports: %w", err)
	}
	return l, nil
}

func (l *lastGood) decode(file []byte) error {
	sum, data, _ := bytes.Cut(file, []byte("\n"))
	if string(sum) != digestOf(data) {
		return errors.New("the file is damaged: its digest differs")
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return err
	}
	for app, ports := range k.Ports {
		if k.Of != l.of {
			break
		}
		for _, p := range ports {
			l.good[app] = append(l.good[app], intent.Port(p))
		}
	}
	return nil
}

// keep takes over what intent says of sound apps, forgets those that the node no longer has, and leaves the others as
// they are. It writes only what differs.
func (l *lastGood) keep(n intent.Node) error {
	good := make(map[intent.Name][]intent.Port, len(n.Apps))
	for _, app := range n.Apps {
		ports := app.Deploy.Ports
		if !app.Sound() {
			ports = l.good[app.Name]
		}
		if len(ports) > 0 {
			good[app.Name] = ports
		}
	}
	if reflect.DeepEqual(good, l.good) && l.told == "" && !l.bad {
		return nil
	}
	if l.bad {
		_ = os.Rename(l.path, fmt.Sprintf("%s.corrupt-%d", l.path, time.Now().Unix()))
		l.bad = false
	}
	l.good = good
	k := kept{Of: l.of, Ports: make(map[intent.Name][]portOnFile, len(good))}
	for app, ports := range good {
		for _, p := range ports {
			k.Ports[app] = append(k.Ports[app], portOnFile(p))
		}
	}
	data, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("remember ports: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return fmt.Errorf("remember ports: %w", err)
	}
	if err := host.WriteFile(l.path, append([]byte(digestOf(data)+"\n"), data...), 0o600); err != nil {
		return fmt.Errorf("remember ports: %w", err)
	}
	return nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
