package runit

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// tail is how much of the end of a log is read, in bytes.
const tail = 16 << 10

// stamp is what svlogd -tt puts in front of each line.
var stamp = regexp.MustCompile(`^\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d\.\d+ `)

// Output implements [service.Lister].
func (r *Runit) Output(_ context.Context, app string, n int) (lines []string, where string) {
	where = filepath.Join(string(r.home(app)), "log", "main", "current")
	// The log belongs to the user who writes it, who may have put a link to what only root may read, or a pipe, in its place.
	file, err := os.OpenFile(where, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, where
	}
	defer file.Close()
	at, err := file.Stat()
	if err != nil || !at.Mode().IsRegular() {
		return nil, where
	}
	if at.Size() > tail {
		_, _ = file.Seek(-tail, io.SeekEnd)
	}
	data, _ := io.ReadAll(io.LimitReader(file, tail))
	for line := range strings.Lines(string(data)) {
		lines = append(lines, stamp.ReplaceAllString(line, ""))
	}
	return service.LastOutput(lines, n), where
}
