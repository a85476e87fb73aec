package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/acl"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/schema"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

// completionTimeout is how long completion waits for the store.
const completionTimeout = 2 * time.Second

// complete prints the words that may follow the words before --generate-bash-completion, one on each line: verbs, flags
// of the verb, names from the store, or values of a flag. It omits what it cannot determine.
func complete(std stdio, words []string) {
	app := newApp(stdio{strings.NewReader(""), io.Discard, io.Discard})
	var verb *cli.Command
	for _, w := range words {
		if verb == nil {
			verb = app.Command(w)
		}
	}
	last := ""
	if len(words) > 0 {
		last = words[len(words)-1]
	}
	writeLines := func(names ...string) {
		for _, n := range names {
			fmt.Fprintln(std.out, n)
		}
	}
	if verb == nil {
		if !strings.HasPrefix(last, "-") {
			writeLines(flagline.Verbs(app)...)
		} else {
			writeLines(longFlags(app.Flags)...)
		}
		return
	}
	flag, rest := "", words
	if strings.HasPrefix(last, "-") { // a flag that needs a value, or the beginning of one
		flag, rest = valueFlagName(verb.Flags, strings.TrimLeft(last, "-")), words[:len(words)-1]
	}
	arranged, err := flagline.Arrange(app, append([]string{"platypus"}, rest...))
	if err != nil {
		return
	}
	verb.Action = func(c *cli.Context) error {
		writeLines(candidates(c, verb.Name, flag)...)
		return nil
	}
	if !strings.HasPrefix(last, "-") || flag != "" {
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		_ = app.RunContext(ctx, arranged)
	}
	if strings.HasPrefix(last, "--") || last == "-" || strings.HasPrefix(last, "-") && flag == "" {
		writeLines(longFlags(append(slices.Clone(verb.Flags), app.Flags...))...)
	}
}

func longFlags(flags []cli.Flag) (names []string) {
	for _, f := range flags {
		names = append(names, "--"+f.Names()[0])
	}
	return names
}

// valueFlagName returns the first name of the flag that has this name and takes a value, or "".
func valueFlagName(flags []cli.Flag, name string) string {
	for _, f := range flags {
		if takes, is := f.(cli.DocGenerationFlag); is && takes.TakesValue() && slices.Contains(f.Names(), name) {
			return f.Names()[0]
		}
	}
	return ""
}

// The kinds of a verb's arguments, in order; the last one repeats if the verb takes any number.
var argumentKinds = map[string][]string{
	"status": {}, "why": {"app", "node"}, "rollout": {"app", "version"}, "rollback": {"app", "version"}, "restart": {"app"},
	"stop": {"app"}, "start": {"app", "version"}, "export": {"app", "app"}, "confirm": {"node"}, "logs": {"app"},
	"log": {"key"}, "cat": {"key"}, "blame": {"key"}, "ls": {"key"}, "hold": {"key"}, "restore": {"key"},
	"show": {"tag"}, "diff": {"tag", "tag", "key"}, "revert": {"tag"}, "tag": {"tag"}, "fork": {"fork", "tag"}, "join": {"fork"}, "ancestors": {"fork"},
	"history": {"history"}, "import": {"import"}, "vms": {"vm", "vm"}, "release": {"vm", "vm"}, "explain": {"vm+seed"},
	"drain": {"machine"}, "cordon": {"machine", "machine"}, "uncordon": {"machine", "machine"}, "call": {"seed"}, "unseed": {"seed"},
	"blob": {"blob"}, "schema": {"schema"}, "acl": {"acl", "app/cluster"}, "completion": {"shell"}, "help": {"verb"},
}

// The kinds of the values of flags.
var flagKinds = map[string]string{"app": "app", "node": "node", "cluster": "cluster", "output": "format", "region": "region", "vm-region": "region",
	"machine": "machine", "since": "tag", "until": "tag", "as": "acl", "calls": "seed"}

// fixedWords returns the words of a kind that needs no store.
func fixedWords(kind string) []string {
	switch kind {
	case "format":
		return []string{"table", "json"}
	case "history":
		return []string{"verify", "export", "import", "compact", "repair"}
	case "import":
		return []string{"regions", "machines"}
	case "blob":
		return []string{"put", "get", "ls"}
	case "shell":
		return []string{"bash", "zsh", "fish"}
	case "schema":
		return schema.Kinds()
	case "acl":
		return acl.Names()
	case "verb":
		return flagline.Verbs(newApp(stdio{}))
	}
	return nil
}

// candidates returns the words that may stand at the cursor.
func candidates(c *cli.Context, verb, flag string) []string {
	kind, known := flagKinds[flag]
	if flag == "" {
		kinds, n := argumentKinds[verb], c.NArg()
		if repeats := len(kinds) > 1 && kinds[len(kinds)-1] == kinds[0]; n >= len(kinds) && repeats {
			n = len(kinds) - 1
		}
		if known = n < len(kinds); known {
			kind = kinds[n]
		}
	}
	if !known {
		return nil
	}
	if words := fixedWords(kind); words != nil {
		return words
	}
	cmd, err := newCommand(c)
	if err != nil {
		return nil
	}
	names := cmd.storeNames(c.Context, kind)
	slices.Sort(names)
	return slices.Compact(names)
}

// storeNames reads the names of a kind from the store.
func (cmd *command) storeNames(ctx context.Context, kind string) (names []string) {
	switch kind {
	case "tag":
		tags, _ := cmd.history().Tags(ctx)
		for _, t := range tags {
			names = append(names, t.Name)
		}
		return append(names, "head")
	case "fork":
		forks, _ := cmd.history().Forks(ctx)
		for _, f := range forks {
			names = append(names, string(f.Name))
		}
		return names
	}
	w, err := world.ReadIntent(ctx, cmd.store, cmd.tree)
	if err != nil {
		return nil
	}
	add := func(found []intent.Name) {
		for _, n := range found {
			names = append(names, string(n))
		}
	}
	switch kind {
	case "app":
		add(w.Apps())
	case "node":
		add(w.Nodes())
	case "cluster", "app/cluster":
		for _, app := range w.Apps() {
			for _, cluster := range w.Clusters(app) {
				if kind == "cluster" {
					names = append(names, string(cluster))
				} else {
					names = append(names, string(app)+"/"+string(cluster))
				}
			}
		}
	case "version":
		for _, p := range w.Pairs {
			if key, _ := w.IntentKey(p); strings.HasPrefix(key, "clusters/"+cmd.args[0]+"/") && strings.HasSuffix(key, "/config") {
				active, stopped, prepared := change.Versions(p.Value)
				add(append(prepared, active, stopped))
			}
		}
	default:
		names = keyNames(w, kind)
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

// keyNames returns the keys of a kind, without their folder.
func keyNames(w world.Snapshot, kind string) (names []string) {
	for _, p := range w.Pairs {
		key, declared := w.IntentKey(p)
		folder, name, _ := strings.Cut(key, "/")
		switch {
		case !declared:
		case kind == "key":
			names = append(names, key)
		case folder == kind+"s" && kind == "machine":
			names = append(names, name[strings.Index(name, "/")+1:])
		case slices.Contains(strings.Split(kind, "+"), strings.TrimSuffix(folder, "s")):
			names = append(names, name)
		}
	}
	return names
}
