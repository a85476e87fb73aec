package main

import (
	"context"
	"runtime"

	"github.com/urfave/cli/v2"
)

func versionVerb() verb {
	return verb{
		name: "version", usage: "say which version this is", maxArgs: 0,
		text:     "Prints the version of the program and of the Go that built it.",
		examples: []string{"platypus version", "platypus version -o json"},
		flags:    []cli.Flag{outputFlag()},
		run: func(_ context.Context, cmd *command) error {
			if cmd.json {
				return cmd.printJSON("version", map[string]any{"version": Version, "go": runtime.Version()})
			}
			cmd.printf("platypus %s (%s %s/%s)", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
