// Platypus is what a person uses to declare intent and to see what became of it.
//
// It reads and writes the store alone: the agents on the hosts do the rest, with or without it, and everything it does
// can be done with `consul kv` and `curl` too. It makes that pleasant (positions in errors, one table for all hosts) and
// safe (everything is validated first, and nobody's write is lost).
//
// Data goes to standard output, talk to standard error. The exit code is 0 for done, 1 for an error, 2 for changes
// pending or not converged, 64 for a mistake on the command line.
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
