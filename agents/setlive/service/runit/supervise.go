package runit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// supervise is a service folder as seen through what its runsv keeps in supervise/.
type supervise string

func (s supervise) path(name string) string { return filepath.Join(string(s), name) }

// alive reports whether a runsv has the folder in hand: only then somebody reads the other end of supervise/ok. Its error
// is [service.ErrUnseen].
func (s supervise) alive() (bool, error) {
	ok, err := os.OpenFile(s.path("supervise/ok"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		_ = ok.Close()
	}
	return service.There(err)
}

// reach opens the pipe that runsv takes its commands from.
func (s supervise) reach() (*os.File, error) {
	pipe, err := os.OpenFile(s.path("supervise/control"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("reach runsv: %w", err)
	}
	return pipe, nil
}

// tell gives runsv a command, as in runsv(8).
func tell(pipe *os.File, command byte) error {
	if _, err := pipe.Write([]byte{command}); err != nil {
		return fmt.Errorf("tell runsv %q: %w", command, err)
	}
	return nil
}

// control gives runsv one command.
func (s supervise) control(command byte) error {
	pipe, err := s.reach()
	if err != nil {
		return err
	}
	defer pipe.Close()
	return tell(pipe, command)
}

// status is what runsv keeps in supervise/status.
type status struct {
	pid   int
	up    bool // runsv wants it up
	state byte
	since time.Time // by the clock of then
}

// The states that runsv tells of.
const (
	stateDown = iota
	stateRun
	stateFinish
)

var errGarbage = errors.New("supervise/status is not what runsv writes; it is written anew at the next command")

// status reads the 20 bytes: a time of 12, the process id of 4, then paused, wanted, term sent, state. Its error is
// [service.ErrUnseen], [errGarbage], or that there is none.
func (s supervise) status() (status, error) {
	data, err := os.ReadFile(s.path("supervise/status"))
	if err != nil {
		if _, unseen := service.There(err); unseen != nil {
			err = unseen
		}
		return status{}, fmt.Errorf("read status: %w", err)
	}
	return parseStatus(data)
}

// epoch is the second 1970-01-01 00:00:10 of TAI, which runsv counts from.
const epoch = 1<<62 + 10

func parseStatus(data []byte) (status, error) {
	if len(data) != 20 {
		return status{}, errGarbage
	}
	pid, wanted, state := binary.LittleEndian.Uint32(data[12:16]), data[17], data[19]
	// Between the end of a process and the start of its finish script there is no process.
	known := (wanted == 'u' || wanted == 'd' || wanted == 0) && state <= stateFinish && data[16] <= 1 && data[18] <= 1
	if !known || pid > 1<<22 || state == stateDown && pid != 0 || state == stateRun && pid == 0 {
		return status{}, errGarbage
	}
	since := time.Unix(int64(binary.BigEndian.Uint64(data[:8])-epoch), int64(binary.BigEndian.Uint32(data[8:12])))
	return status{pid: int(pid), up: wanted == 'u', state: state, since: since}, nil
}

// down reports whether nothing runs and nothing is about to.
func (s supervise) down() (bool, error) {
	now, err := s.status()
	if errors.Is(err, errGarbage) {
		return false, nil
	}
	return err == nil && !now.up && now.state == stateDown, err
}

var errTooLong = errors.New("it takes too long")

// poll looks until done, an error, the end of ctx, or errTooLong. What cannot be seen is looked for again: it is an error
// when the limit is reached.
func poll(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(service.PollInterval)
	defer tick.Stop()
	end := time.Now().Add(limit)
	for {
		ok, err := done()
		unseen := errors.Is(err, service.ErrUnseen)
		if err != nil && !unseen || err == nil && ok {
			return err
		}
		if !time.Now().Before(end) {
			if unseen {
				return err
			}
			return errTooLong
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
