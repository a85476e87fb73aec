package main

import (
	"context"
	"fmt"
	"math/bits"
	"strings"

	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// Bounds of the evidence in a report.
const (
	evidenceLines = 3
	evidenceWidth = 120 // bytes of a line
)

// evidence is why an app ended, as a report says it. It is looked up again only when the number of restarts has doubled, so
// that a report does not change each time.
type evidence struct {
	version  string
	restarts int // bits of their number
	text     string
}

// evidence returns how the processes of an app ended last, what it printed last, and where all that it printed is; "" while
// none has ended.
func (h *host) evidence(ctx context.Context, s service.State) string {
	if s.Past.Restarts == 0 || s.Bar == service.Unseen {
		delete(h.last.evidence, s.App)
		return ""
	}
	e := evidence{version: s.Process.Version, restarts: bits.Len(uint(s.Past.Restarts))}
	if last := h.last.evidence[s.App]; last.restarts == e.restarts && (last.version == e.version || e.version == "") {
		return last.text
	}
	lines, where := h.services.Output(ctx, s.App, evidenceLines)
	for i, line := range lines {
		if line = health.Short(line); len(line) > evidenceWidth {
			line = strings.ToValidUTF8(line[:evidenceWidth], "") + "…"
		}
		lines[i] = line
	}
	said := "it printed nothing"
	if len(lines) > 0 {
		said = fmt.Sprintf("its last output is %q", strings.Join(lines, " | "))
	}
	e.text = strings.TrimPrefix(fmt.Sprintf("%s; %s; all of it: %s", s.Past.End, said, where), "; ")
	h.last.evidence[s.App] = e
	return e.text
}
