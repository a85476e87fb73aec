package systemd

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// journalPatience bounds one question to the journal.
const journalPatience = 3 * time.Second

// journalTail is how many lines of the journal the last output is looked for in.
const journalTail = 100

// Output implements [service.Lister].
func (s *Systemd) Output(ctx context.Context, app string, n int) (lines []string, where string) {
	where = "journalctl -u platypus-" + app
	ctx, cancel := context.WithTimeout(ctx, journalPatience)
	defer cancel()
	// Of the unit's processes alone: -u would add what systemd says of them.
	data, err := host.Run(ctx, nil, "journalctl", "-q", "--no-pager", "-b", "-o", "cat", "-n", strconv.Itoa(journalTail),
		"_SYSTEMD_UNIT="+unitName(app))
	if err != nil {
		return nil, where
	}
	return service.LastOutput(slices.Collect(strings.Lines(string(data))), n), where
}
