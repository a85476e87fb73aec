package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// clash says that two apps of this node want the same port. The app that was put on the node first keeps it.
type clash struct {
	Port  intent.Port
	Other intent.Name
}

// claims is what each app may have of what it asked for.
type claims struct {
	granted map[intent.Name][]intent.Port // of others than sound apps: what they last could have
	lost    map[intent.Name][]clash
	won     map[intent.Name][]clash
}

// settle decides between apps. Those that must be left as they are claim what they have on the host, and what they
// last could have.
func settle(n intent.Node, a Actual) claims {
	c := claims{granted: map[intent.Name][]intent.Port{}, lost: map[intent.Name][]clash{}, won: map[intent.Name][]clash{}}
	apps := slices.Clone(n.Apps)
	slices.SortStableFunc(apps, func(x, y intent.App) int {
		return cmp.Or(cmp.Compare(x.Created, y.Created), strings.Compare(string(x.Name), string(y.Name)))
	})
	var t taken
	for i, app := range apps {
		ports := app.Deploy.Ports
		if !app.Sound() {
			ports = a.Good[app.Name]
			for _, p := range a.portsOf(app.Name) {
				t.take(p, int32(i))
			}
		}
		for _, p := range ports {
			if j := t.by(p, int32(i)); j >= 0 && !app.Sound() {
				continue
			} else if j >= 0 {
				other := apps[j].Name
				c.lost[app.Name] = append(c.lost[app.Name], clash{p, other})
				c.won[other] = append(c.won[other], clash{p, app.Name})
				continue
			}
			c.granted[app.Name] = append(c.granted[app.Name], p)
		}
		for _, p := range c.granted[app.Name] {
			t.take(spanOf(p), int32(i))
		}
	}
	return c
}

// taken holds, for each protocol and port, one more than the number of the app that has it. It comes in pages of 256
// ports, for most hosts open a few: all at once would be half a MiB to be had and given back at every pass.
type taken struct{ tcp, udp [256]*[256]int32 }

func (t *taken) of(protocol intent.Protocol) *[256]*[256]int32 {
	if protocol == intent.UDP {
		return &t.udp
	}
	return &t.tcp
}

// by returns the first other app that has one of these ports, or -1.
func (t *taken) by(p intent.Port, app int32) int32 {
	pages := t.of(p.Protocol)
	for port := p.First; port <= p.Last; port++ {
		page := pages[port>>8]
		if page == nil {
			port |= 0xff // to the next page
		} else if owner := page[port&0xff]; owner != 0 && owner != app+1 {
			return owner - 1
		}
	}
	return -1
}

func (t *taken) take(s span, app int32) {
	pages := t.of(s.Protocol)
	for port := s.First; port <= s.Last; port++ {
		if pages[port>>8] == nil {
			pages[port>>8] = new([256]int32)
		}
		if owner := &pages[port>>8][port&0xff]; *owner == 0 {
			*owner = app + 1
		}
	}
}

// lostText tells an app why it does not get all that it asked for, and what to do.
func lostText(app intent.Name, lost []clash) string {
	return fmt.Sprintf("not opened: %s; the earlier claim wins: give %s another port in its deploy_config",
		each(lost, "%s belongs to %s"), app)
}

// wonText tells an app that another would like its port.
func wonText(won []clash) string { return each(won, "%s is also wanted by %s, which came later") }

func each(clashes []clash, format string) string {
	var words []string
	for i, c := range clashes {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(clashes)-most))
			break
		}
		words = append(words, fmt.Sprintf(format, c.Port, c.Other))
	}
	return strings.Join(words, ", ")
}
