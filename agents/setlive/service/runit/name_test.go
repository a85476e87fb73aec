package runit

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// TestRunScript_NameOfTheProcessHasANewline_TheOrphanEndsFirst: the name is a part of /proc/PID/stat.
func TestRunScript_NameOfTheProcessHasANewline_TheOrphanEndsFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t, "#!/bin/sh\ntrap '' TERM\nprintf 'a) S\\nb' >/proc/$$/comm\nwhile :; do sleep 1; done\n")
	p := b.up(t).Process
	proc := "/proc/" + strconv.Itoa(p.PID)
	testhost.Eventually(t, "the process has its name", func() bool {
		name, _ := os.ReadFile(proc + "/comm")
		return string(name) == "a) S\nb\n"
	})
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	parent, _ := strconv.Atoi(strings.Fields(string(stat[strings.LastIndex(string(stat), ")"):]))[2])
	if err := syscall.Kill(parent, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testhost.Eventually(t, "another runsv starts it again", func() bool {
		now := b.state(t).Process
		return now.Settings != "" && !now.Is(p)
	})
	if _, alive, _ := service.StartOf(p.PID); alive {
		t.Errorf("process %d still runs beside its successor", p.PID)
	}
}
