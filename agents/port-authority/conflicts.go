package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// portConflict says that two apps of this node want the same port. The app that was put on the node first keeps it.
type portConflict struct {
	Port  intent.Port
	Other intent.Name
}

// claims is what each app may have of what it asked for.
type claims struct {
	granted map[intent.Name][]intent.Port // of others than sound apps: what they last could have
	lost    map[intent.Name][]portConflict
	won     map[intent.Name][]portConflict
}

// resolve decides between apps. Those that must be left as they are claim what they have on the host, and what they
// last could have.
func resolve(n intent.Node, a Actual) claims {
	c := claims{granted: map[intent.Name][]intent.Port{}, lost: map[intent.Name][]portConflict{}, won: map[intent.Name][]portConflict{}}
	apps := slices.Clone(n.Apps)
	slices.SortStableFunc(apps, func(x, y intent.App) int {
		return cmp.Or(cmp.Compare(x.Created, y.Created), strings.Compare(string(x.Name), string(y.Name)))
	})
	var t claimedPorts
	for i, app := range apps {
		ports := app.Deploy.Ports
		if !app.Sound() {
			ports = a.LastGood[app.Name]
			for _, p := range a.portsOf(app.Name) {
				t.claim(p, int32(i))
			}
		}
		for _, p := range ports {
			if j := t.owner(p, int32(i)); j >= 0 && !app.Sound() {
				continue
			} else if j >= 0 {
				other := apps[j].Name
				c.lost[app.Name] = append(c.lost[app.Name], portConflict{p, other})
				c.won[other] = append(c.won[other], portConflict{p, app.Name})
				continue
			}
			c.granted[app.Name] = append(c.granted[app.Name], p)
		}
		for _, p := range c.granted[app.Name] {
			t.claim(portRangeOf(p), int32(i))
		}
	}
	return c
}

// claimedPorts holds, for each protocol and port, one more than the number of the app that has it. It comes in pages of
// 256 ports, for most hosts open a few: all at once would be half a MiB to be had and given back at every pass.
type claimedPorts struct{ tcp, udp [256]*[256]int32 }

func (t *claimedPorts) pagesOf(protocol intent.Protocol) *[256]*[256]int32 {
	if protocol == intent.UDP {
		return &t.udp
	}
	return &t.tcp
}

// owner returns the first other app that has one of these ports, or -1.
func (t *claimedPorts) owner(p intent.Port, app int32) int32 {
	pages := t.pagesOf(p.Protocol)
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

func (t *claimedPorts) claim(s portRange, app int32) {
	pages := t.pagesOf(s.Protocol)
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
func lostText(app intent.Name, lost []portConflict) string {
	return fmt.Sprintf("not opened: %s; the earlier claim wins: give %s another port in its deploy_config",
		conflictList(lost, "%s belongs to %s"), app)
}

// wonText tells an app that another would like its port.
func wonText(won []portConflict) string {
	return conflictList(won, "%s is also wanted by %s, which came later")
}

func conflictList(clashes []portConflict, format string) string {
	var words []string
	for i, c := range clashes {
		if i == maxListed {
			words = append(words, fmt.Sprintf("and %d more", len(clashes)-maxListed))
			break
		}
		words = append(words, fmt.Sprintf(format, c.Port, c.Other))
	}
	return strings.Join(words, ", ")
}
