package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// End is how a process of a service ended.
type End struct {
	Version string // that it ran; "" when unknown
	Code    int    // its exit code; -1 when a signal ended it
	Signal  string // that ended it, as KILL, or ""
	Known   bool
}

// String is what a person would say.
func (e End) String() string {
	switch {
	case !e.Known:
		return ""
	case e.Signal != "":
		return "signal " + e.Signal
	case e.Code == 0:
		return "exit 0 (launch must not end: a job that is done, or a program that goes into the background, is started again)"
	}
	return fmt.Sprintf("exit %d", e.Code)
}

// finish returns what a supervisor runs when a process of a service has ended. Runit gives it the exit code, -1 for a signal,
// and the status of waitpid(2); systemd has $EXIT_CODE and $EXIT_STATUS.
func finish(home string, s Spec) []byte {
	return fmt.Appendf(nil, `#!/bin/sh
# Written by Platypus setlive for %s: it notes how a process of it ended.
home=%s
version=- code=${1:-} status=${2:-0}
[ ! -r "$home/%[3]s" ] || read -r pid since version rest <"$home/%[3]s"
signal=$((status & 127))
case ${EXIT_CODE:-} in
exited) code=$EXIT_STATUS ;;
killed | dumped) code=-1 signal=$EXIT_STATUS ;;
esac
case $code in '') exit 0 ;; esac
echo "$version $code $signal" >"$home/%[4]s.new" && mv -f "$home/%[4]s.new" "$home/%[4]s"
`, s.App, quote(home), noteName, endName)
}

// end reads how a process ended last. Its error is [ErrUnseen].
func (h Home) end() (e End, err error) {
	data, err := os.ReadFile(filepath.Join(string(h), endName))
	if there, err := There(err); !there {
		return e, err
	}
	fields := strings.Fields(string(data))
	if len(fields) != 3 {
		return e, nil
	}
	code, err := strconv.Atoi(fields[1])
	if err != nil {
		return e, nil
	}
	e = End{Version: strings.TrimPrefix(fields[0], "-"), Code: code, Known: true}
	if code < 0 {
		e.Signal = fields[2]
		if number, err := strconv.Atoi(fields[2]); err == nil {
			e.Signal = strings.TrimPrefix(unix.SignalName(unix.Signal(number)), "SIG")
		}
	}
	return e, nil
}
