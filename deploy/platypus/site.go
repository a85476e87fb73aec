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
		name: "site", usage: "publish a folder as a static site on every node", args: "DIR NAME", min: 2, max: 2,
		text: `Gives every file below DIR to this node's seed-placer as a blob and declares sites/NAME with the list of them. Nodes
answer for the host NAME and for each --host. Files whose name begins with a dot, and links, are left out and listed.
404.html answers for what is not there; with --fallback another page does, as single-page apps want it.`,
		examples: []string{"platypus site ./public my-site", "platypus site ./dist app --host www.example.com --fallback /index.html"},
		flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "host", Usage: "another `NAME` that it answers for"},
			&cli.StringFlag{Name: "fallback", Usage: "`PATH` that answers, with 200, in place of what is not there"},
			&cli.StringFlag{Name: "not-found", Usage: "`PATH` of the page that says 404"},
			&cli.StringFlag{Name: "max-age", Usage: "how long a cache may keep a page without asking, such as 1h"},
			&cli.StringSliceFlag{Name: "redirect", Usage: "`FROM=TO`: a path, and a path or address"},
			socketFlag(), messageFlag(), dryRunFlag(),
		},
		run: publishSite,
	}
}

func publishSite(ctx context.Context, sh *shell) error {
	name, err := sh.name(1, "NAME")
	if err != nil {
		return err
	}
	redirects := map[string]string{}
	for _, text := range sh.flags.StringSlice("redirect") {
		from, to, ok := strings.Cut(text, "=")
		if !ok {
			return usage("--redirect %q is not FROM=TO", text)
		}
		redirects[from] = to
	}
	manifest, err := sh.manifest(ctx, sh.args[0])
	if err != nil {
		return err
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	k, err := sh.putBlob(ctx, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
	if err != nil {
		return err
	}
	what := fmt.Sprintf("site %s is %s", name, plural(len(manifest.Files), "file"))
	return sh.publish(ctx, "sites/"+string(name), what, func(now map[string]any) {
		now["manifest"] = "sha256:" + k.SHA256
		for flag, member := range map[string]string{"fallback": "fallback", "not-found": "not_found", "max-age": "max_age"} {
			if sh.flags.IsSet(flag) {
				now[member] = sh.flags.String(flag)
			}
		}
		if sh.flags.IsSet("host") {
			now["hosts"] = slices.Clone(sh.flags.StringSlice("host"))
		}
		if len(redirects) > 0 {
			now["redirects"] = redirects
		}
	})
}

// manifest publishes the files of a folder and returns the list of them. The folder is opened once, and nothing outside
// of it is read, whatever links say.
func (sh *shell) manifest(ctx context.Context, dir string) (intent.Manifest, error) {
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
			sh.say("left out: %s: its name begins with a dot", at)
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			sh.say("left out: %s: it is no plain file", at)
			return nil
		case strings.ContainsAny(at, "\x00\\"):
			return fmt.Errorf("publish %q: the name cannot be a path of a site", at)
		}
		file, err := sh.publishPage(ctx, root, at)
		m.Files["/"+at] = file
		return err
	})
	if err == nil && len(m.Files) == 0 {
		err = errors.New("there is no file to publish in " + dir)
	}
	return m, err
}

// publishPage publishes one file, and beside it the same compressed where that saves a tenth.
func (sh *shell) publishPage(ctx context.Context, root *os.Root, at string) (intent.File, error) {
	k, err := sh.putBlob(ctx, func() (io.ReadCloser, error) { return root.Open(at) })
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
	k, err = sh.putBlob(ctx, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
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
