package systemd

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/host"
)

// journalPatience bounds one question to the journal.
const journalPatience = 3 * time.Second

// Output implements [service.Lister].
func (s *Systemd) Output(ctx context.Context, app string, n int) (lines []string, where string) {
	where = "journalctl -u platypus-" + app
	ctx, cancel := context.WithTimeout(ctx, journalPatience)
	defer cancel()
	// Of the unit's processes alone: -u would add what systemd says of them.
	data, err := host.Run(ctx, nil, "journalctl", "-q", "--no-pager", "-b", "-o", "cat", "-n", strconv.Itoa(n), "_SYSTEMD_UNIT="+unitName(app))
	if err != nil {
		return nil, where
	}
	for line := range strings.Lines(string(data)) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return lines, where
}
