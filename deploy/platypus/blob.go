package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

func blobVerb() verb {
	return verb{
		name: "blob", usage: "keep files on nodes by their digest", args: "put FILE | get DIGEST FILE | ls", min: 1, max: 3,
		text: `put gives a file to this node's seed-placer and declares blobs/DIGEST, so that --copies nodes keep it; get fetches it
from any node that holds it, and writes nothing unless the digest is right; ls lists what is declared and who holds it.`,
		examples: []string{"platypus blob put big.iso --copies 3", "platypus blob get sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a out.iso", "platypus blob ls"},
		flags: []cli.Flag{
			&cli.IntFlag{Name: "copies", Usage: "on how many nodes it is kept", Value: intent.DefaultCopies},
			socketFlag(), messageFlag(), dryRunFlag(), outputFlag(),
		},
		run: func(ctx context.Context, sh *shell) error {
			switch verb, n := sh.args[0], len(sh.args); {
			case verb == "put" && n == 2:
				return sh.blobPut(ctx, sh.args[1])
			case verb == "get" && n == 3:
				return sh.blobGet(ctx, sh.args[1], sh.args[2])
			case verb == "ls" && n == 1:
				return sh.blobList(ctx)
			}
			return usage("platypus blob put FILE, platypus blob get DIGEST FILE or platypus blob ls")
		},
	}
}

func (sh *shell) blobPut(ctx context.Context, path string) error {
	k, err := sh.putBlob(ctx, func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		return err
	}
	what := fmt.Sprintf("blob %s is kept", filepath.Base(path))
	err = sh.publish(ctx, "blobs/"+k.SHA256, what, func(now map[string]any) {
		now["name"], now["size"], now["copies"] = filepath.Base(path), k.Size, sh.flags.Int("copies")
	})
	if err == nil {
		sh.print("sha256:%s", k.SHA256)
	}
	return err
}

// blobGet tries each node that holds the blob.
func (sh *shell) blobGet(ctx context.Context, digest, path string) error {
	name, err := intent.ParseName(strings.ToLower(strings.TrimPrefix(digest, "sha256:")))
	if raw, bad := hex.DecodeString(string(name)); err != nil || bad != nil || len(raw) != sha256.Size {
		return usage("%q is not sha256: and 64 hexadecimal digits", digest)
	}
	holders, err := sh.holders(ctx, name)
	if err != nil {
		return err
	}
	hosts, err := readAll[intent.Host](ctx, sh, sh.tree.Hosts())
	if err != nil {
		return err
	}
	var errs []error
	for _, node := range holders {
		if hosts[node].Address == "" {
			errs = append(errs, fmt.Errorf("%s: it is not there just now", node))
			continue
		}
		err := fetchBlob(ctx, hosts[node].Address, string(name), path)
		if err == nil {
			sh.say("%s is sha256:%s, from %s", path, name, node)
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", node, err))
	}
	if len(errs) == 0 {
		return fmt.Errorf("no node holds sha256:%s", name)
	}
	return errors.Join(errs...)
}

// fetchBlob writes the file beside its place and moves it there once its digest is right.
func fetchBlob(ctx context.Context, address, digest, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/blob/"+digest, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", response.Status)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".blob-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), response.Body); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
		return fmt.Errorf("it sent something else: sha256:%s", got)
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// holders are the nodes that hold a blob, sorted.
func (sh *shell) holders(ctx context.Context, digest intent.Name) ([]string, error) {
	holders, err := readAll[intent.Holder](ctx, sh, sh.tree.Holders().Join(digest))
	return slices.Sorted(maps.Keys(holders)), err
}

// readAll reads the values below a prefix, by what follows it in their keys.
func readAll[T any](ctx context.Context, sh *shell, prefix intent.Prefix) (map[string]T, error) {
	pairs, _, err := sh.store.List(ctx, prefix, store.Default)
	if err != nil {
		return nil, err
	}
	all := map[string]T{}
	for _, pair := range pairs {
		rest, _ := prefix.Below(pair.Key)
		var noun T
		if json.Unmarshal(pair.Value, &noun) == nil {
			all[rest] = noun
		}
	}
	return all, nil
}

func (sh *shell) blobList(ctx context.Context) error {
	declared, err := readAll[intent.Blob](ctx, sh, sh.tree.Blobs())
	if err != nil {
		return err
	}
	held, err := readAll[intent.Holder](ctx, sh, sh.tree.Holders())
	if err != nil {
		return err
	}
	nodes, sizes := map[string][]string{}, map[string]int64{}
	for _, at := range slices.Sorted(maps.Keys(held)) {
		digest, node, _ := strings.Cut(at, "/")
		nodes[digest], sizes[digest] = append(nodes[digest], node), held[at].Size
	}
	for digest := range declared {
		nodes[digest] = append([]string{}, nodes[digest]...)
	}
	rows, table := []map[string]any{}, [][]string{}
	for _, digest := range slices.Sorted(maps.Keys(nodes)) {
		b := declared[digest]
		rows = append(rows, map[string]any{"sha256": digest, "name": b.Name, "size": sizes[digest], "copies": b.Copies, "nodes": nodes[digest]})
		table = append(table, []string{"sha256:" + digest, b.Name, fmt.Sprint(sizes[digest]), strings.Join(nodes[digest], " ")})
	}
	if sh.json {
		return sh.printJSON("blobs", map[string]any{"blobs": rows})
	}
	sh.printTable([]string{"DIGEST", "NAME", "BYTES", "NODES"}, table)
	return nil
}
