package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
)

func siteVerb() verb {
	return verb{
		name: "site", usage: "publish a folder as a static site on every node", args: "DIR NAME", minArgs: 2, maxArgs: 2,
		text: `Gives every file below DIR to this node's seed-placer as a blob and declares sites/NAME with the list of them. Nodes
answer for the host NAME and for each --host. Files whose name begins with a dot, and links, are left out and listed.
404.html answers for what is not there; with --fallback another page does, as single-page apps want it.`,
		examples: []string{"platypus site ./public my-site", "platypus site ./dist app --host www.example.com --fallback /index.html"},
		flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "host", Usage: "another `NAME` that it answers for"},
			&cli.StringFlag{Name: "fallback", Usage: "`PATH` that answers, with 200, in place of what is not there"},
			&cli.StringFlag{Name: "not-found", Usage: "`PATH` of the page that says 404"},
			&cli.StringFlag{Name: "max-age", Usage: "how long a cache may keep a page without asking, such as 1h"},
			&cli.StringSliceFlag{Name: "redirect", Usage: "`FROM=TO`: a path, and a path or address"},
			messageFlag(), dryRunFlag(),
		}, uploadFlags()...),
		run: publishSite,
	}
}

func publishSite(ctx context.Context, cmd *command) error {
	name, err := cmd.nameArg(1, "NAME")
	if err != nil {
		return err
	}
	redirects := map[string]string{}
	for _, text := range cmd.flags.StringSlice("redirect") {
		from, to, ok := strings.Cut(text, "=")
		if !ok {
			return usage("--redirect %q is not FROM=TO", text)
		}
		redirects[from] = to
	}
	manifest, err := cmd.manifest(ctx, cmd.args[0])
	if err != nil {
		return err
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	k, err := cmd.putBlob(ctx, inMemory(data))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("site %s is %s", name, plural(len(manifest.Files), "file"))
	return cmd.publish(ctx, "sites/"+string(name), what, func(now map[string]any) {
		now["manifest"] = "sha256:" + k.SHA256
		for flag, member := range map[string]string{"fallback": "fallback", "not-found": "not_found", "max-age": "max_age"} {
			if cmd.flags.IsSet(flag) {
				now[member] = cmd.flags.String(flag)
			}
		}
		if cmd.flags.IsSet("host") {
			now["hosts"] = slices.Clone(cmd.flags.StringSlice("host"))
		}
		if len(redirects) > 0 {
			now["redirects"] = redirects
		}
	})
}

// manifest publishes the files of a folder and returns their list. The folder is opened as a root: links cannot lead
// outside of it.
func (cmd *command) manifest(ctx context.Context, dir string) (intent.Manifest, error) {
	m := intent.Manifest{Files: map[string]intent.File{}}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return m, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case at == ".":
			return nil
		case strings.HasPrefix(entry.Name(), "."):
			cmd.infof("left out: %s: its name begins with a dot", at)
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			cmd.infof("left out: %s: it is no plain file", at)
			return nil
		case strings.ContainsAny(at, "\x00\\"):
			return fmt.Errorf("publish %q: the name cannot be a path of a site", at)
		}
		file, err := cmd.publishPage(ctx, root, at)
		m.Files["/"+at] = file
		return err
	})
	if err == nil && len(m.Files) == 0 {
		err = errors.New("there is no file to publish in " + dir)
	}
	return m, err
}

// publishPage publishes one file, and a compressed copy if that is at least a tenth smaller.
func (cmd *command) publishPage(ctx context.Context, root *os.Root, at string) (intent.File, error) {
	k, err := cmd.putBlob(ctx, func() (io.ReadSeekCloser, error) { return root.Open(at) })
	if err != nil {
		return intent.File{}, err
	}
	file := intent.File{SHA256: k.SHA256, Size: k.Size, Type: mime.TypeByExtension(path.Ext(at))}
	head, err := readHead(root, at)
	if err != nil {
		return file, err
	}
	if file.Type == "" {
		file.Type = http.DetectContentType(head)
	}
	if k.Size < 1<<10 || k.Size > 64<<20 || !compressible(file.Type) {
		return file, nil
	}
	packed, err := gzipped(root, at)
	if err != nil || int64(packed.Len()) > k.Size*9/10 {
		return file, err
	}
	k, err = cmd.putBlob(ctx, inMemory(packed.Bytes()))
	file.Gzip = k.SHA256
	return file, err
}

func readHead(root *os.Root, at string) ([]byte, error) {
	f, err := root.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 512))
}

func gzipped(root *os.Root, at string) (*bytes.Buffer, error) {
	f, err := root.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, f); err != nil {
		return nil, err
	}
	return &packed, w.Close()
}

func compressible(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	return strings.HasPrefix(kind, "text/") || slices.Contains([]string{"application/javascript", "application/json",
		"application/xml", "application/wasm", "image/svg+xml", "application/manifest+json"}, kind)
}
