package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// endless are the verbs that serve until they are ended: what they write is what they are for.
var endless = []string{"dev", "store"}

// dryRuns are command lines of every other verb; one that begins with "!" writes when it is not run dry. DIR is a folder
// with files to read.
var dryRuns = map[string][]string{
	"validate": {"DIR/more.json"}, "plan": {"DIR/more.json"}, "apply": {"!DIR/more.json --yes"},
	"status": {""}, "why": {"slug web1"}, "rollout": {"!slug v3"}, "rollback": {"!slug v1"},
	"restart": {"!slug"}, "stop": {"!slug"}, "start": {"slug"}, "export": {"slug"}, "logs": {"slug"}, "init": {"--app new DIR/new"},
	"log": {""}, "show": {"1"}, "diff": {"1 head"}, "cat": {"regions/SIN"}, "ls": {""}, "blame": {"regions/SIN"},
	"revert": {"!2 --yes"}, "restore": {"!clusters/slug/@1 --yes --hold 1h"},
	"tag": {"", "!new 1", "!--delete golden"}, "hold": {"", "!regions/", "!--delete clusters/other/"},
	"fork": {"", "!new", "!--delete staging --force --yes"}, "join": {"!staging --yes"}, "ancestors": {"staging"},
	"history": {"verify", "export DIR/export", "!compact --keep-commits 1 --keep-age 0s", "!import DIR/stream"},
	"import":  {"!machines DIR/machines.json"}, "regions": {""}, "machines": {""},
	"launch": {"!--vm-memory 1 --vm-cores 1 --vm-region SIN --no-wait new", "!--vm-memory 1 --vm-cores 1 --vm-region SIN --timeout 100ms new"},
	"vms":    {""}, "release": {"!web --timeout 100ms", "!web --no-wait"},
	"place": {"--vm-memory 1 --vm-cores 1 --vm-region SIN"}, "explain": {"web"}, "verify": {""},
	"drain": {"!m1"}, "cordon": {"!m1 m2"}, "uncordon": {"!m3"}, "rebalance": {"!--yes"}, "confirm": {"!web1 --yes"},
	"seed": {"!DIR/seed.wasm new --socket DIR/s"}, "call": {"nobody"}, "site": {"!DIR/site new --socket DIR/s"},
	"blob":   {"!put DIR/more.json --socket DIR/s", "ls"},
	"doctor": {""}, "schema": {""}, "acl": {"preparer --node web1"}, "completion": {"bash"}, "version": {""},
}

// otherRoot are the lines that want another tree than the one that is set up for all: one without a history, a long one.
var otherRoot = map[string]string{"history import": "empty", "history compact": "long"}

// dryFixture is a tree in which every verb has something to do.
type dryFixture struct {
	*testing.T
	store *store.Store
	dir   string
	root  string
	blobs atomic.Int64 // given to the node
}

func (w *dryFixture) run(root, line string) (int, string) {
	var out bytes.Buffer
	args := []string{"platypus", "--http-addr", w.store.Address(), "--root", root}
	args = append(args, strings.Fields(strings.ReplaceAll(line, "DIR", w.dir))...)
	code := run(w.Context(), args, stdio{strings.NewReader(""), &out, &out})
	return code, out.String()
}

func (w *dryFixture) must(root, line string) {
	w.Helper()
	if code, out := w.run(root, line); code != 0 {
		w.Fatalf("%s: exit %d: %s", line, code, out)
	}
}

// all is everything in the store, with the index of each key.
func (w *dryFixture) all() []intent.Pair {
	w.Helper()
	pairs, _, err := w.store.List(w.Context(), "", store.Consistent)
	if err != nil {
		w.Fatal(err)
	}
	return pairs
}

const dryFirst = `{"regions/SIN":{}, "machines/SIN/m1":{"cores":2,"memory":"64GB"}, "machines/SIN/m2":{"cores":32,"memory":"64GB"},
 "machines/SIN/m3":{"cores":8,"memory":"64GB","state":"cordoned"},
 "vms/web":{"region":"SIN","cores":4,"memory":"1GB","count":1}, "nodes/web1/slug":{"cluster":"production"},
 "clusters/slug/production/config":{"versions":{"v1":"prep","v2":"active"}},
 "clusters/slug/production/deploy_config":{"basedir":"/srv/slug"}}`

const dryReport = `{"agent":"preparer","node":"web1","version":"1","intent_index":9,"converged":false,"since":"2020-01-01T00:00:00Z",
 "held":{"removes":["a","b"],"owned":3},"subjects":{"slug":{"phase":"held","have":"v1, v2","since":"2020-01-01T00:00:00Z"}}}`

func (w *dryFixture) setUp() {
	w.Helper()
	module := "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x05\x03\x01\x00\x01" +
		"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b"
	for name, text := range map[string]string{
		"first.json": dryFirst, "second.json": `{"clusters/slug/production/config":{"versions":{"v1":"prep","v2":"active"},"min_nodes":1}}`,
		"more.json": `{"nodes/web2/slug":{"cluster":"production"}}`, "machines.json": `{"machines/SIN/m9":{"cores":1,"memory":"1GB"}}`,
		"fork.json": `{"regions/SIN":{"location":"Singapore"}}`, "site/index.html": "<p>hello", "seed.wasm": module,
		"placement.json": `{"state":"placed","region":"SIN","machine":"m1","attempt":1}`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(w.dir, name)), 0o755); err != nil {
			w.Fatal(err)
		}
		write(w.T, filepath.Join(w.dir, name), text)
	}
	w.must(w.root, "apply --yes DIR/first.json")
	w.must(w.root, "apply --yes DIR/second.json")
	w.must(w.root, "tag golden 1")
	w.must(w.root, "hold clusters/other/")
	w.must(w.root, "fork staging")
	w.must(w.root+"/forks/staging", "apply --yes DIR/fork.json")
	w.must(w.root, "history export DIR/stream")
	tree, err := intent.ParseRoot(w.root)
	if err != nil {
		w.Fatal(err)
	}
	vm, _, err := w.store.Get(w.Context(), tree.VM("web"), store.Consistent)
	if err != nil {
		w.Fatal(err)
	}
	for key, value := range map[string]string{
		string(tree.Statuses().Join("preparer")) + "web1": dryReport,
		string(tree.Ledgers()) + "SIN/m1":                 fmt.Sprintf(`{"entries":[{"vm":"web.0","cores":4,"memory":"1GB","intent":%d}]}`, vm.ModifyIndex),
		string(tree.PlacedVMs()) + "web.0":                `{"state":"placed","region":"SIN","machine":"m1","attempt":1}`,
	} {
		if err := w.store.Put(w.Context(), key, []byte(value)); err != nil {
			w.Fatal(err)
		}
	}
}

// long makes a history that is worth compacting.
func (w *dryFixture) long() {
	w.Helper()
	for i := range 105 {
		write(w.T, filepath.Join(w.dir, "long.json"), fmt.Sprintf(`{"regions/SIN":{"location":"%d"}}`, i))
		w.must("long", "apply --yes DIR/long.json")
	}
}

// node plays the seed-placer of this node, which takes any blob.
func (w *dryFixture) node() {
	w.Helper()
	listener, err := net.Listen("unix", filepath.Join(w.dir, "s"))
	if err != nil {
		w.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.blobs.Add(1)
		size := r.Header.Get("Content-Range")
		fmt.Fprintf(rw, `{"sha256":%q,"size":%s,"node":"n1"}`, path.Base(r.URL.Path), size[strings.LastIndexByte(size, '/')+1:])
	})}
	go func() { _ = server.Serve(listener) }()
	w.Cleanup(func() { _ = server.Close() })
}

// TestDryRuns goes over all verbs of the program: who writes without --dry-run has that flag, and with it writes nothing,
// neither to the store nor to a node, says what it would have done, and ends with the code for changes pending.
func TestDryRuns(t *testing.T) {
	t.Parallel()
	for name := range dryRuns {
		if !slices.ContainsFunc(verbs(), func(v verb) bool { return v.name == name }) {
			t.Errorf("%s is no verb any more", name)
		}
	}
	dir, err := os.MkdirTemp("", "dry-") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s, err := store.Open(store.Config{Address: embedtest.Start(t)})
	if err != nil {
		t.Fatal(err)
	}
	w := &dryFixture{T: t, store: s, dir: dir, root: "first"}
	w.node()
	w.setUp()
	w.long()
	round := 0
	for _, v := range verbs() {
		if slices.Contains(endless, v.name) {
			continue
		}
		lines, told := dryRuns[v.name]
		if !told {
			t.Errorf("%s: say in dryRuns how it is run, so that it is known whether it writes", v.name)
		}
		for _, line := range lines {
			if !w.try(v, line) {
				continue
			}
			round++ // a tree as it was, for the next one
			w.root = fmt.Sprintf("round%d", round)
			w.setUp()
		}
	}
}

// try runs a verb dry and then, if it is to write, in earnest; it reports whether the tree is another one now.
func (w *dryFixture) try(v verb, line string) (changed bool) {
	w.Helper()
	line, writes := strings.CutPrefix(line, "!")
	line, root := v.name+" "+line, w.root
	for begin, other := range otherRoot {
		if strings.HasPrefix(line, begin) {
			root = other
		}
	}
	dry := slices.ContainsFunc(v.flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), "dry-run") })
	if writes && !dry {
		w.Errorf("%s: it writes, and has no --dry-run", v.name)
		return false
	}
	first := line
	if dry {
		first += " --dry-run"
	}
	before, given := w.all(), w.blobs.Load()
	code, out := w.run(root, first)
	if after := w.all(); !reflect.DeepEqual(before, after) || w.blobs.Load() != given {
		w.Errorf("%s: something was written: %s", first, out)
		return true
	}
	if !writes {
		return false
	}
	if code != exitPending {
		w.Errorf("%s: exit %d: %s", first, code, out)
	}
	code, out = w.run(root, line)
	if after := w.all(); reflect.DeepEqual(before, after) {
		w.Errorf("%s: nothing was written, so its dry run proves nothing: exit %d: %s", line, code, out)
	}
	return true
}
