// Package service is what setlive asks of a service supervisor, whichever it is: write a service, start it, stop it,
// and say what runs. The back-ends are the packages runit and systemd; both run an app through the same script, which
// notes the version and the settings of the very process that it becomes. So what runs is known from the host alone,
// after any crash, and a service comes back at boot without Platypus.
package service

import (
	"context"
	"errors"
	"time"
)

// Supervisor keeps services running. Its methods may be called for different apps at once.
type Supervisor interface {
	Writer
	Runner
	Lister
}

// Writer makes services be there or not.
type Writer interface {
	// Install writes the files of a service, each atomically and only when it differs, and makes the supervisor know
	// it. It never touches a service that setlive did not write: that is an error. It neither stops nor starts
	// anything, but a supervisor may start a service that is new to it.
	Install(ctx context.Context, spec Spec) error
	// Remove stops a service and removes every trace of it. A service that is not there is no error.
	Remove(ctx context.Context, app string) error
	// Adopt makes a service that setlive did not write its own while its process, as Before has told of it, goes on.
	Adopt(ctx context.Context, spec Spec, p Process) error
}

// Runner starts and stops services.
type Runner interface {
	// Start makes the service run, now and at boot, and returns once its process has noted itself (it may have ended
	// since). A service that runs is left alone.
	Start(ctx context.Context, app string) error
	// Stop sends TERM, waits, then kills the whole group, and returns once nothing of the service runs; else it is an
	// error. When ctx ends while the service still takes its time, a stop that is not Final is called off.
	Stop(ctx context.Context, app string, how Stopping) error
	// Tell sends a signal, HUP, USR1 or USR2, to the process of the service, and notes that it knows settings by now.
	// Nothing is sent, and it is an error, while none runs that has noted itself.
	Tell(ctx context.Context, app, signal, settings string) error
}

// Lister observes.
type Lister interface {
	// List returns the services on this host that setlive wrote, sorted by app. One that could not be looked at says so;
	// an error is for all of them.
	List(ctx context.Context) ([]State, error)
	// Before returns what stands in the place of a service that setlive has not written: nothing, one that can be taken
	// over, or one that cannot. Its error says that this cannot be known now.
	Before(ctx context.Context, spec Spec) (Old, error)
	// Output returns the last lines that the app printed, at most n, and where all of them are: a path or a command.
	Output(ctx context.Context, app string, n int) (lines []string, where string)
}

// ErrUntold says that there is no process fit to be sent a signal.
var ErrUntold = errors.New("no process of it is ready for a signal")

// Old is what stands in the place of a service that setlive has not written.
type Old struct {
	There   bool
	Process Process // zero while nothing of it runs; its settings are unknown
	Problem string  // why it cannot be taken over, in words with the next step; "" when it can
}

// Stopping says how a service is stopped.
type Stopping struct {
	Grace time.Duration // from TERM to KILL; DefaultGrace when 0
	Final bool          // it stays stopped, also at boot

	// Orphans says that the service goes on: only what its earlier starts left behind is ended, but for the eldest.
	Orphans bool
}

// Bounds of what setlive waits for.
const (
	DefaultGrace = 30 * time.Second
	KillWait     = 5 * time.Second  // after KILL; what still runs then cannot be stopped
	StartWait    = 10 * time.Second // for the process of a started service, and for a supervisor that scans
	PollInterval = time.Millisecond // between two looks at something that is about to happen
)

// State is a service as observed.
type State struct {
	App         string
	Basedir     string        // as installed
	Node        string        // that it was installed for; "" when that was not recorded
	RunAs       string        // as installed
	StopTimeout time.Duration // as installed; 0 when that was not recorded
	Fingerprint string        // of the settings as installed, [Spec.Fingerprint]; "" when a file of it was damaged
	Supervised  bool          // the supervisor has it in hand
	Up          bool          // the supervisor keeps it running
	Boot        bool          // it will be started at boot
	Process     Process       // zero while nothing runs
	Past        Past
	Problem     string // what is wrong with it, in words with the next step; "" when nothing is
	Bar         Bar    // whether the Problem keeps everything from being tried
}

// Bar is how far a problem goes.
type Bar int

// The bars.
const (
	Open    Bar = iota // steps may help
	Blocked            // a person is to solve it before anything may be tried
	Unseen             // the service could not be looked at: nothing of it but its App is known
)

// Process is one process of a service. Two equal values are the very same process.
type Process struct {
	PID      int
	Started  uint64 // clock ticks from boot to its start
	Version  string // that it runs; "" when unknown
	Settings string // [Spec.Settings] it was started with or told of since; "" when unknown
	Core     string // [Spec.Core] it was started with; "" when unknown
}

// Running reports whether there is a process.
func (p Process) Running() bool { return p.PID > 0 }

// Is reports whether q is the same process, whatever is known of it.
func (p Process) Is(q Process) bool { return p.PID == q.PID && p.Started == q.Started && p.PID > 0 }
