package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// rebuildSubject is what the run of the command concerns. No app can have a name with a space.
const rebuildSubject = "command rebuild"

// Files is the directory that the programs of 2014 read, as observed.
type Files struct {
	Content map[intent.Name]string // of each <app>.yml there
	Written map[intent.Name]bool   // those that are this agent's
	Command bool                   // a command is to be run after a change
	Rebuilt string                 // digest of the agent's files when the command last succeeded
}

// WriteFile puts the ports of an app where the programs of 2014 look for them.
type WriteFile struct {
	App     intent.Name
	Content string
	Closes  bool // what is there already says a port that Content does not, or is not this agent's
}

// Destroys reports whether somebody may lose what they use.
func (s WriteFile) Destroys() bool { return s.Closes }

// RemoveFile takes away the file of an app that is no longer on this node.
type RemoveFile struct{ App intent.Name }

// Rebuild runs the command of 2014. Digest is of the files that it will see at the least.
type Rebuild struct{ Digest string }

// Subject is the app.
func (s WriteFile) Subject() string { return string(s.App) }

// Subject is the app.
func (s RemoveFile) Subject() string { return string(s.App) }

// Subject is the command itself.
func (s Rebuild) Subject() string { return rebuildSubject }

// String tells what is written.
func (s WriteFile) String() string {
	return fmt.Sprintf("write %s.yml with %d ports", s.App, strings.Count(s.Content, "\n  port: "))
}

// String tells why.
func (s RemoveFile) String() string { return fmt.Sprintf("remove %s.yml: not on this node", s.App) }

// String tells why.
func (s Rebuild) String() string { return "run rebuild: the files changed, or it failed before" }

// planFiles returns what makes the directory say what intent says. The command runs whenever what lies there is not
// what it last saw; so one app whose file cannot be written keeps no other closed.
func planFiles(n intent.Node, c claims, f Files) (steps []converge.Step) {
	for _, app := range n.Apps {
		content, _ := format2014(app.Name, c.granted[app.Name])
		if app.Sound() && (f.Content[app.Name] != content || !f.Written[app.Name]) {
			steps = append(steps, WriteFile{app.Name, content, f.closes(app.Name, content)})
		}
	}
	for _, app := range slices.Sorted(maps.Keys(f.Written)) {
		if _, named := n.App(app); !named {
			steps = append(steps, RemoveFile{app})
		}
	}
	if digest := f.digest(); f.Command && digest != f.Rebuilt && (len(f.Written) > 0 || f.Rebuilt != "") {
		steps = append(steps, Rebuild{digest})
	}
	return steps
}

// closes reports whether the file of an app says a port that content does not, or anything at all that this agent did
// not write.
func (f Files) closes(app intent.Name, content string) bool {
	before, there := f.Content[app]
	if !there || before == none2014 {
		return false
	}
	stays := map[string]bool{}
	for line := range strings.Lines(content) {
		stays[line] = true
	}
	for line := range strings.Lines(before) { // the first line of each entry has both its port and its protocol
		if !strings.HasPrefix(line, "  ") && !stays[line] {
			return true
		}
	}
	return !f.Written[app]
}

// digest stands for all files that are this agent's.
func (f Files) digest() string {
	h := sha256.New()
	for _, app := range slices.Sorted(maps.Keys(f.Written)) {
		content, there := f.Content[app]
		fmt.Fprintf(h, "%s %t %d\n%s", app, there, len(content), content)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// none2014 is the file of an app without ports.
const none2014 = "{}\n"

// format2014 writes ports as the agent of 2014 did, in the order of its YAML library: by number, tcp before udp. That
// format has no word for a source. A port with sources is left out and counted, for leaving out the sources would open
// it to everybody.
func format2014(app intent.Name, ports []intent.Port) (content string, leftOut int) {
	var all []portRange
	for _, p := range ports {
		if len(p.Source) > 0 {
			leftOut++
			continue
		}
		for port := p.First; port <= p.Last; port++ {
			all = append(all, portRange{p.Protocol, port, port})
		}
	}
	if len(all) == 0 {
		return none2014, leftOut
	}
	slices.SortFunc(all, func(x, y portRange) int {
		if x.First != y.First {
			return x.First - y.First
		}
		return strings.Compare(string(x.Protocol), string(y.Protocol))
	})
	var b strings.Builder
	for _, s := range slices.Compact(all) {
		fmt.Fprintf(&b, "%s_%d_%s:\n  port: %[2]d\n  protocol: %[3]s\n", app, s.First, s.Protocol)
	}
	return b.String(), leftOut
}

// appState adds what the files say of an app to what the chains say of it.
func (f *Files) appState(s converge.State, app intent.Name, ports []intent.Port, notes *[]string) converge.State {
	if f == nil {
		return s
	}
	content, leftOut := format2014(app, ports)
	if leftOut > 0 {
		*notes = append(*notes, fmt.Sprintf("%d ports limited to sources are not in %s.yml: its format cannot say a source", leftOut, app))
	}
	if f.Content[app] != content || !f.Written[app] {
		s.Phase = converge.Working
	}
	return s
}

// have is what the file of an app opens, in words.
func (f *Files) have(app intent.Name) string {
	content, there := f.Content[app]
	if !there {
		return ""
	}
	return fmt.Sprintf("%d ports in %s.yml", strings.Count(content, "\n  port: "), app)
}

func (f *Files) commandState() converge.State {
	s := converge.State{Phase: converge.Converged, Want: "run on the files as they are", Have: "run"}
	if len(f.Written) > 0 && f.digest() != f.Rebuilt {
		s.Phase, s.Have = converge.Working, "not run"
	}
	return s
}
