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
		name: "blob", usage: "keep files on nodes by their digest", args: "put FILE | get DIGEST FILE | ls", minArgs: 1, maxArgs: 3,
		text: `put gives a file to this node's seed-placer, or to that at --to with a certificate, and declares blobs/DIGEST, so that
--copies nodes keep it; get fetches it from any node that holds it, and writes nothing unless the digest is right. Both go
on where they were when the link is cut, and so does the same command later. ls lists what is declared and who holds it.`,
		examples: []string{"platypus blob put big.iso --copies 3", "platypus blob put big.iso --to https://10.0.0.7:8443 --tls-cert me.crt --tls-key me.key --tls-ca ca.crt", "platypus blob get sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a out.iso", "platypus blob ls"},
		flags: append([]cli.Flag{
			&cli.IntFlag{Name: "copies", Usage: "on how many nodes it is kept", Value: intent.DefaultCopies},
			messageFlag(), dryRunFlag(), outputFlag(),
		}, uploadFlags()...),
		run: func(ctx context.Context, cmd *command) error {
			switch action, n := cmd.args[0], len(cmd.args); {
			case action == "put" && n == 2:
				return cmd.blobPut(ctx, cmd.args[1])
			case action == "get" && n == 3:
				return cmd.blobGet(ctx, cmd.args[1], cmd.args[2])
			case action == "ls" && n == 1:
				return cmd.blobList(ctx)
			}
			return usage("platypus blob put FILE, platypus blob get DIGEST FILE or platypus blob ls")
		},
	}
}

func (cmd *command) blobPut(ctx context.Context, path string) error {
	k, err := cmd.putBlob(ctx, func() (io.ReadSeekCloser, error) { return os.Open(path) })
	if err != nil {
		return err
	}
	what := fmt.Sprintf("blob %s is kept", filepath.Base(path))
	err = cmd.publish(ctx, "blobs/"+k.SHA256, what, func(now map[string]any) {
		now["name"], now["size"], now["copies"] = filepath.Base(path), k.Size, cmd.flags.Int("copies")
	})
	if err == nil {
		cmd.printf("sha256:%s", k.SHA256)
	}
	return err
}

// blobGet tries each node that holds the blob.
func (cmd *command) blobGet(ctx context.Context, digest, path string) error {
	name, err := intent.ParseName(strings.ToLower(strings.TrimPrefix(digest, "sha256:")))
	if raw, bad := hex.DecodeString(string(name)); err != nil || bad != nil || len(raw) != sha256.Size {
		return usage("%q is not sha256: and 64 hexadecimal digits", digest)
	}
	holders, err := cmd.holders(ctx, name)
	if err != nil {
		return err
	}
	hosts, err := readAll[intent.Host](ctx, cmd, cmd.tree.Hosts())
	if err != nil {
		return err
	}
	peer, err := cmd.newNodeClient()
	if err != nil {
		return err
	}
	var live []sourceNode
	var errs []error
	for _, node := range holders {
		if hosts[node].Address == "" {
			errs = append(errs, fmt.Errorf("%s: it is not there just now", node))
			continue
		}
		live = append(live, sourceNode{node: node, address: hosts[node].Address})
	}
	if len(holders) == 0 {
		return fmt.Errorf("no node holds sha256:%s", name)
	}
	from, err := (&download{client: peer, digest: string(name), path: path}).run(ctx, live)
	if err == nil && from != "" {
		cmd.infof("%s is sha256:%s, from %s", path, name, from)
		return nil
	}
	return errors.Join(append(errs, err)...)
}

// holders returns the nodes that hold a blob, sorted.
func (cmd *command) holders(ctx context.Context, digest intent.Name) ([]string, error) {
	holders, err := readAll[intent.Holder](ctx, cmd, cmd.tree.Holders().Join(digest))
	return slices.Sorted(maps.Keys(holders)), err
}

// readAll reads the values below a prefix into a map by the rest of their keys.
func readAll[T any](ctx context.Context, cmd *command, prefix intent.Prefix) (map[string]T, error) {
	pairs, _, err := cmd.store.List(ctx, prefix, store.Default)
	if err != nil {
		return nil, err
	}
	all := map[string]T{}
	for _, pair := range pairs {
		rest, _ := prefix.Below(pair.Key)
		var value T
		if json.Unmarshal(pair.Value, &value) == nil {
			all[rest] = value
		}
	}
	return all, nil
}

func (cmd *command) blobList(ctx context.Context) error {
	declared, err := readAll[intent.Blob](ctx, cmd, cmd.tree.Blobs())
	if err != nil {
		return err
	}
	held, err := readAll[intent.Holder](ctx, cmd, cmd.tree.Holders())
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
	if cmd.json {
		return cmd.printJSON("blobs", map[string]any{"blobs": rows})
	}
	cmd.printTable([]string{"DIGEST", "NAME", "BYTES", "NODES"}, table)
	return nil
}
