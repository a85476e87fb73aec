package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

func logsVerb() verb {
	return verb{
		name: "logs", usage: "show what an app on this host printed", args: "APP", minArgs: 1, maxArgs: 1,
		text: `Shows the last lines of the output of an app that setlive runs on this host. Under runit they are in the folder
log/main of the app's service, each with its time in UTC; under systemd they are in the journal. Other hosts are not asked:
run it there. Root sees more than others.`,
		examples: []string{"platypus logs slug", "platypus logs slug -f -n 100"},
		flags: []cli.Flag{
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what it prints from now on, until interrupted"},
			&cli.IntFlag{Name: "number", Aliases: []string{"n"}, Usage: "so `MANY` lines", Value: 20},
			&cli.StringFlag{Name: "runit-stage", Usage: "`DIR` of setlive's service folders under runit", Value: "/etc/sv",
				EnvVars: []string{"PLATYPUS_RUNIT_STAGE"}},
			&cli.StringFlag{Name: "services", Usage: "`DIR` of what setlive's units run", Value: "/var/lib/platypus/services",
				EnvVars: []string{"PLATYPUS_SERVICES"}},
		},
		run: showLogs,
	}
}

func showLogs(ctx context.Context, cmd *command) error {
	app, err := cmd.nameArg(0, "app")
	if err != nil {
		return err
	}
	name, n := string(app), max(0, cmd.flags.Int("number"))
	stage, services := cmd.flags.String("runit-stage"), cmd.flags.String("services")
	folder := filepath.Join(stage, name, "log", "main")
	if _, err := os.Stat(filepath.Join(stage, name, "platypus.json")); err == nil {
		return cmd.runitLogs(ctx, folder, n)
	}
	if _, err := os.Stat(filepath.Join(services, name, "platypus.json")); err == nil {
		return cmd.showJournal(ctx, name, n)
	}
	if kept, _ := filepath.Glob(filepath.Join(stage, "."+name+".log-*")); len(kept) > 0 {
		cmd.infof("setlive no longer runs %s here; this is what was kept when it was removed, in %s", name, kept[len(kept)-1])
		return cmd.runitLogs(ctx, kept[len(kept)-1], n)
	}
	return fmt.Errorf("setlive runs no %s on this host (none in %s or %s): platypus status shows where it runs", name, stage, services)
}

// showJournal prints the journal of an app's unit.
func (cmd *command) showJournal(ctx context.Context, app string, n int) error {
	args := []string{"-q", "--no-pager", "-o", "short-iso", "-u", "platypus-" + app, "-n", strconv.Itoa(n)}
	if cmd.flags.Bool("follow") {
		args = append(args, "-f")
	}
	journalctl := exec.CommandContext(ctx, "journalctl", args...)
	journalctl.Stdout, journalctl.Stderr = cmd.out, cmd.errOut
	if err := journalctl.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("ask the journal: %w", err)
	}
	return nil
}

// Timing and size limits for following a runit log.
const (
	logPoll = 200 * time.Millisecond
	logTail = 256 << 10 // bytes at the end that are searched for the last lines
)

// runitLogs prints the log that svlogd writes to a folder.
func (cmd *command) runitLogs(ctx context.Context, folder string, n int) error {
	path := filepath.Join(folder, "current")
	file, err := openLog(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not there: the app has printed nothing yet", path)
	}
	if err != nil {
		return err
	}
	if at, err := file.Stat(); err == nil && at.Size() > logTail {
		_, _ = file.Seek(-logTail, io.SeekEnd)
	}
	data, err := io.ReadAll(io.LimitReader(file, logTail))
	if err != nil {
		return errors.Join(err, file.Close())
	}
	last := bytes.LastIndexByte(data, '\n') + 1
	lines := strings.Split(strings.TrimSuffix(string(data[:last]), "\n"), "\n")
	if last > 0 {
		cmd.printLines(lines[max(0, len(lines)-n):])
	}
	if !cmd.flags.Bool("follow") {
		return file.Close()
	}
	return cmd.followLog(ctx, path, file, data[last:])
}

// openLog opens a log that belongs to the user who writes it, who may have put anything in its place: a link to what only
// root may read, or a pipe that nobody writes to.
func openLog(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a link, and no log that setlive set up: see who made it", path)
	}
	if err != nil {
		return nil, err
	}
	if at, err := file.Stat(); err != nil || !at.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a file, and no log that setlive set up: see who made it", path), err, file.Close())
	}
	return file, nil
}

// followLog prints what is written to a log, over to the next file when svlogd begins one, until ctx ends. It closes file.
func (cmd *command) followLog(ctx context.Context, path string, file *os.File, rest []byte) error {
	defer func() { _ = file.Close() }()
	for ctx.Err() == nil {
		now, errNow := os.Stat(path)
		data, err := io.ReadAll(io.LimitReader(file, logTail))
		if err != nil {
			return err
		}
		rest = append(rest, data...)
		if last := bytes.LastIndexByte(rest, '\n') + 1; last > 0 {
			cmd.printLines(strings.Split(string(rest[:last-1]), "\n"))
			rest = rest[last:]
		}
		if len(data) > 0 {
			continue
		}
		if was, err := file.Stat(); err == nil && errNow == nil && !os.SameFile(was, now) {
			next, err := openLog(path)
			if err != nil {
				return err
			}
			_ = file.Close()
			file = next
			continue
		}
		select {
		case <-time.After(logPoll):
		case <-ctx.Done():
		}
	}
	return nil
}

func (cmd *command) printLines(lines []string) {
	for _, line := range lines {
		cmd.printf("%s", printable(line))
	}
}
