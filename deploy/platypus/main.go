// Platypus is the command line tool for declaring intent and inspecting its state.
//
// It only reads and writes the store: the agents on the hosts do the rest, and `consul kv` and `curl` could do the
// same. The tool adds convenience (positions in errors, one table for all hosts) and safety (validation before writing,
// no lost updates).
//
// Data goes to standard output, messages to standard error. The exit code is 0 for success, 1 for an error, 2 for
// pending changes or not converged, 64 for a usage error.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args, stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}
