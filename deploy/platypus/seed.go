package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/wasm"
)

// maxModule is the size limit of a module, in bytes.
const maxModule = 256 << 20

func seedVerb() verb {
	return verb{
		name: "seed", usage: "publish a WebAssembly module, and have nodes keep it ready", args: "FILE NAME", minArgs: 2, maxArgs: 2,
		text: `Checks the module, gives it to this node's seed-placer as a blob, and declares seeds/NAME with its digest. What was
declared before and no flag changes stays as it is. A module that cannot run is refused, with the reason, and nothing is
declared. The module is a WASI preview 1 command (GOOS=wasip1 GOARCH=wasm go build) or a reactor.`,
		examples: []string{"platypus seed hello.wasm hello --min-replicas 2", "platypus seed api.wasm api --instance reset --egress https://api.example.com"},
		flags: append([]cli.Flag{
			&cli.IntFlag{Name: "min-replicas", Usage: "how many nodes have it ready at least"},
			&cli.IntFlag{Name: "max-replicas", Usage: "how many at most, under load"},
			&cli.StringFlag{Name: "memory", Usage: "of one instance, such as 64MiB"},
			&cli.StringFlag{Name: "timeout", Usage: "of one call, such as 10s"},
			&cli.StringFlag{Name: "abi", Usage: "command or reactor, where its exports allow both"},
			&cli.StringFlag{Name: "instance", Usage: "warm, reset or fresh"},
			&cli.StringFlag{Name: "region", Usage: "only on nodes of this region"},
			&cli.StringFlag{Name: "spread", Usage: "label over whose values replicas are spread, such as zone"},
			&cli.StringSliceFlag{Name: "label", Usage: "only on nodes with `KEY=VALUE`"},
			&cli.StringSliceFlag{Name: "egress", Usage: "origin or network that it may reach"},
			&cli.StringSliceFlag{Name: "calls", Usage: "`SEED` that it may call, or *"},
			&cli.StringSliceFlag{Name: "env", Usage: "`NAME=VALUE` in its environment; no place for secrets"},
			boolFlag("trusted", "run it in a process of its own, at full speed"),
			messageFlag(), dryRunFlag(),
		}, uploadFlags()...),
		run: publishSeed,
	}
}

func publishSeed(ctx context.Context, cmd *command) error {
	name, err := cmd.nameArg(1, "NAME")
	if err != nil {
		return err
	}
	module, err := readModule(cmd.args[0])
	if err != nil {
		return err
	}
	members, err := seedMembers(cmd)
	if err != nil {
		return err
	}
	if err := checkModule(cmd.args[0], module, members); err != nil {
		return err
	}
	k, err := cmd.putBlob(ctx, inMemory(module))
	if err != nil {
		return err
	}
	return cmd.publish(ctx, "seeds/"+string(name), fmt.Sprintf("seed %s is sha256:%.12s", name, k.SHA256), func(now map[string]any) {
		delete(now, "sha256")
		now["source"] = "sha256:" + k.SHA256
		for member, value := range members {
			now[member] = value
		}
	})
}

func readModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	module, err := io.ReadAll(io.LimitReader(f, maxModule+1))
	if err == nil && len(module) > maxModule {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxModule>>20)
	}
	return module, err
}

// checkModule refuses a module that could not run as declared.
func checkModule(path string, module []byte, members map[string]any) error {
	facts, err := wasm.Read(module)
	if err != nil {
		return fmt.Errorf("%s cannot be a seed: %w", path, err)
	}
	wish := intent.Seed{}
	if text, ok := members["memory"].(string); ok {
		if wish.Memory, err = intent.ParseSize(text); err != nil {
			return usage("--memory: %w", err)
		}
	}
	abi, _ := members["abi"].(string)
	instance, _ := members["instance"].(string)
	wish.ABI, wish.Instance = intent.ABI(abi), intent.Freshness(instance)
	for _, e := range asStrings(members["egress"]) {
		wish.Egress = append(wish.Egress, intent.Egress(e))
	}
	if _, err := wasm.Fit(facts, wish); err != nil {
		return fmt.Errorf("%s cannot be a seed: %w", path, err)
	}
	return nil
}

func asStrings(v any) []string {
	list, _ := v.([]string)
	return list
}

// seedMembers returns the members that flags set.
func seedMembers(cmd *command) (map[string]any, error) {
	members := map[string]any{}
	for _, flag := range []string{"min-replicas", "max-replicas", "memory", "timeout", "abi", "instance", "region", "spread", "trusted"} {
		if cmd.flags.IsSet(flag) {
			members[strings.ReplaceAll(flag, "-", "_")] = cmd.flags.Value(flag)
		}
	}
	for _, flag := range []string{"egress", "calls"} {
		if cmd.flags.IsSet(flag) {
			members[flag] = cmd.flags.StringSlice(flag)
		}
	}
	for flag, member := range map[string]string{"label": "labels", "env": "env"} {
		if !cmd.flags.IsSet(flag) {
			continue
		}
		pairs := map[string]string{}
		for _, text := range slices.Clone(cmd.flags.StringSlice(flag)) {
			key, value, ok := strings.Cut(text, "=")
			if !ok || key == "" {
				return nil, usage("--%s %q is not KEY=VALUE", flag, text)
			}
			pairs[key] = value
		}
		members[member] = pairs
	}
	return members, nil
}
