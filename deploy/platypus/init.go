package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
)

func initVerb() verb {
	return verb{
		name: "init", usage: "write a first intent directory for an app", args: "[DIR]", minArgs: 0, maxArgs: 1,
		text: `Writes below DIR, the current directory unless given: intent/ with one file a key, which plan and apply take;
README.md, which explains each of them; and release.sh, which packs a build, uploads it and rolls it out, by hand or in
CI. On a terminal it asks for what no flag gives; elsewhere --app is needed and the rest has defaults. Nothing that is
there is overwritten, and the store is not asked.`,
		examples: []string{"platypus init slug", "platypus init --app slug --node web1 --node web2 --port 8080 --health /healthz"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "app", Usage: "`NAME` of the app"},
			&cli.StringFlag{Name: "cluster", Usage: "`NAME` of the cluster (default: production)"},
			&cli.StringSliceFlag{Name: "node", Usage: "`NAME` of a node that runs it; may be repeated (default: this host's name)"},
			&cli.StringFlag{Name: "basedir", Usage: "absolute `DIR` that everything of the app is below (default: /srv/APP)"},
			&cli.StringFlag{Name: "port", Usage: "`PORT` that it listens on and that is opened in the firewall"},
			&cli.StringFlag{Name: "health", Usage: "`PATH` that answers 2xx at that port when the app is healthy"},
		},
		run: initialize,
	}
}

// initOptions are the answers that init needs.
type initOptions struct {
	app, cluster, basedir, port, health string
	nodes                               []string
}

func initialize(_ context.Context, cmd *command) error {
	dir := "."
	if len(cmd.args) == 1 {
		dir = cmd.args[0]
	}
	d, err := cmd.askInitOptions(dir)
	if err != nil {
		return err
	}
	files, err := d.initFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: nothing was written; give another directory, platypus init DIR", filepath.Join(dir, f.name))
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make the intent directory: %w", err)
		}
		if err := os.WriteFile(path, []byte(f.text), f.mode); err != nil {
			return fmt.Errorf("write the intent directory: %w", err)
		}
		cmd.printf("%s", path)
	}
	cmd.infof("next: platypus apply %s", filepath.Join(dir, "intent"))
	cmd.infof("then: REPO=DIR %s v1 BUILD, where BUILD/bin/launch starts the app and DIR is where the preparers fetch from",
		scriptPath(filepath.Join(dir, "release.sh")))
	return nil
}

// scriptPath returns a path that a shell can run.
func scriptPath(path string) string {
	if strings.Contains(path, "/") {
		return path
	}
	return "./" + path
}

// askInitOptions reads the flags and, on a terminal, asks for the rest.
func (cmd *command) askInitOptions(dir string) (d initOptions, err error) {
	lines := bufio.NewReader(cmd.in)
	given := cmd.flags.String
	ask := func(flag, question, otherwise string) string {
		if !cmd.interactive() || cmd.flags.IsSet(flag) {
			return otherwise
		}
		fmt.Fprintf(cmd.errOut, "%s [%s]: ", question, otherwise)
		line, _ := lines.ReadString('\n')
		return cmp.Or(strings.TrimSpace(line), otherwise)
	}
	host, _ := os.Hostname()
	guess := ""
	if cmd.interactive() {
		if at, err := filepath.Abs(dir); err == nil {
			guess = filepath.Base(at)
		}
	}
	if d.app = ask("app", "name of the app", cmp.Or(given("app"), guess)); d.app == "" {
		return d, usage("init needs a name: platypus init --app NAME")
	}
	d.cluster = ask("cluster", "its cluster", cmp.Or(given("cluster"), "production"))
	if d.nodes = cmd.flags.StringSlice("node"); len(d.nodes) == 0 {
		d.nodes = strings.FieldsFunc(ask("node", "the nodes that run it, with spaces between them", cmp.Or(host, "web1")),
			func(r rune) bool { return r == ' ' || r == ',' })
	}
	d.basedir = ask("basedir", "directory that everything of the app is below", cmp.Or(given("basedir"), "/srv/"+d.app))
	d.port = ask("port", "port that it listens on; empty for none", given("port"))
	if d.port != "" {
		d.health = ask("health", "path that answers 2xx when it is healthy; empty: healthy is what keeps running", given("health"))
	}
	return d, nil
}

// initFile is a file that init writes.
type initFile struct {
	name, text string
	mode       fs.FileMode
}

// initFiles returns all files, checked as validate would.
func (d initOptions) initFiles() ([]initFile, error) {
	deploy := map[string]any{"basedir": d.basedir}
	if d.port != "" {
		deploy["ports"] = []json.RawMessage{json.RawMessage(d.port)}
	}
	if d.health != "" {
		deploy["health"] = map[string]any{"path": d.health, "port": json.RawMessage(d.port)}
	}
	if d.port != "" && !json.Valid([]byte(d.port)) {
		return nil, usage("--port %q is not a port", d.port)
	}
	cluster := "clusters/" + d.app + "/" + d.cluster
	values := map[string]any{cluster + "/config": map[string]any{"user_config": map[string]any{}}, cluster + "/deploy_config": deploy}
	keys := []string{cluster + "/config", cluster + "/deploy_config"}
	for _, n := range d.nodes {
		key := "nodes/" + n + "/" + d.app
		values[key], keys = map[string]any{"cluster": d.cluster}, append(keys, key)
	}
	var files []initFile
	for _, key := range keys {
		value, err := json.MarshalIndent(values[key], "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", key, err)
		}
		if err := intent.Check(key, value).Err(); err != nil {
			return nil, usageError{err}
		}
		files = append(files, initFile{"intent/" + key + ".json", string(value) + "\n", 0o644})
	}
	fill := strings.NewReplacer("APP", d.app, "CLUSTER", d.cluster, "BASEDIR", d.basedir, "NODE", d.nodes[0])
	return append(files, initFile{"README.md", fill.Replace(initReadme), 0o644}, initFile{"release.sh", fill.Replace(initRelease), 0o755}), nil
}
