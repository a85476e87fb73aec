package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type badArchive struct {
	name   string
	data   []byte
	reason Reason
	limits Limits
}

func badArchives(tb testing.TB) []badArchive {
	whole := tarball(tb, launch(), reg("data", strings.Repeat("0123456789abcdef", 4096)))
	text := func(s string) []byte { return []byte(s) }
	b := []badArchive{
		{name: "no bytes", data: nil, reason: NotArchive},
		{name: "html page", data: text("<!DOCTYPE html><title>Not found</title>"), reason: NotArchive},
		{name: "plain tar", data: whole, reason: NotArchive},
		{name: "zip", data: text("PK\x03\x04 and so on"), reason: NotArchive},
		{name: "gzip header only", data: gz(whole)[:10], reason: Truncated},
		{name: "gzip header cut", data: gz(whole)[:5], reason: Truncated},
		{name: "gzip cut in the middle", data: gz(whole)[:len(gz(whole))/2], reason: Truncated},
		{name: "gzip trailer cut", data: gz(whole)[:len(gz(whole))-3], reason: Truncated},
		{name: "gzip wrong crc", data: flip(gz(whole), -6), reason: Checksum},
		{name: "gzip wrong length", data: flip(gz(whole), -2), reason: Checksum},
		{name: "gzip reserved block", data: append(gz(whole)[:10], 0x07, 1, 2, 3, 4, 5, 6, 7), reason: Corrupt},
		{name: "gzip trailing text", data: append(gz(whole), "hello, this is more"...), reason: Trailing},
		{name: "gzip trailing bytes too few for a header", data: append(gz(whole), "hello"...), reason: Truncated},
		{name: "gzip trailing zeros", data: append(gz(whole), make([]byte, 512)...), reason: Trailing},
		{name: "gzip of text", data: gz(bytes.Repeat(text("hello "), 500)), reason: BadHeader},
		{name: "zstd cut", data: zst(whole)[:len(zst(whole))-40], reason: Truncated},
		{name: "zstd wrong checksum", data: flip(zst(whole), -1), reason: Checksum},
		{name: "zstd trailing text", data: append(zst(whole), "hello, this is more"...), reason: Trailing},
		{name: "tar without end", data: gz(whole[:len(whole)-1024]), reason: NoEnd},
		{name: "tar with one end block", data: gz(whole[:len(whole)-512]), reason: NoEnd},
		{name: "tar cut in a file", data: gz(whole[:3000]), reason: Truncated},
		{name: "tar cut in a header", data: gz(whole[:1024+100]), reason: Truncated},
		{name: "tar then text", data: gz(append(bytes.Clone(whole), "more"...)), reason: Trailing},
		{name: "two tars", data: gz(append(bytes.Clone(whole), whole...)), reason: Trailing},
		{name: "tar checksum wrong", data: gz(flip(whole, 20)), reason: BadHeader},
		{name: "tar negative size", data: gz(forge(whole, atSize, "-0000000001\x00")), reason: BadHeader},
		{name: "nothing inside", data: archive(tb), reason: Empty},
	}
	refused := func(name string, r Reason, entries ...entry) {
		b = append(b, badArchive{name: name, data: archive(tb, append([]entry{launch()}, entries...)...), reason: r})
	}
	refused("absolute name", Absolute, reg("/etc/cron.d/x", "x"))
	refused("absolute with dots", Absolute, reg("//canary/x", "x"))
	refused("climbs out", Parent, reg("../canary/x", "x"))
	refused("climbs out later", Parent, reg("a/../../canary/x", "x"))
	refused("climbs inside", Parent, reg("a/../b", "x"))
	refused("ends in dots", Parent, dir("a/.."))
	refused("root as a file", Clash, reg("./.", "x"))
	refused("long component", TooLong, reg(strings.Repeat("n", 256), "x"))
	refused("long name", TooLong, reg(strings.Repeat("n/", 1100)+"x", "x"))
	refused("deep path", TooDeep, reg(deep(64), "x"))
	refused("write through link", ThroughLink, sym("l", "bin"), reg("l/x", "x"))
	refused("write through dangling link", ThroughLink, sym("l", "later"), reg("l/x", "x"))
	refused("write through link out", LinkEscapes, sym("l", "../canary"), reg("l/x", "x"))
	refused("directory through link", ThroughLink, sym("l", "bin"), dir("l/sub"))
	refused("directory over link", Clash, sym("l", "bin"), dir("l"))
	refused("file over link", Clash, sym("l", "bin/launch"), reg("l", "x"))
	refused("file over file", Clash, reg("f", "1"), reg("f", "2"))
	refused("file over file, spelt otherwise", Clash, reg("f", "1"), reg("./f", "2"))
	refused("file over directory", Clash, dir("f"), reg("f", "2"))
	refused("directory over file", Clash, reg("f", "1"), dir("f"))
	refused("file below file", Clash, reg("f", "1"), reg("f/g", "2"))
	refused("link over file", Clash, reg("f", "1"), sym("f", "bin"))
	refused("absolute link", LinkAbsolute, sym("l", "/etc/passwd"))
	refused("link out", LinkEscapes, sym("l", "../../etc/passwd"))
	refused("link out from below", LinkEscapes, sym("a/b/l", "../../../x"))
	refused("link out after going down", LinkEscapes, sym("l", "bin/../../x"))
	refused("link climbs behind a link", LinkEscapes, sym("d/e/s", ".."), sym("l", "d/e/s/../../canary"))
	refused("link climbs behind a later link", LinkEscapes, sym("l", "d/e/s/../../canary"), sym("d/e/s", ".."))
	refused("link to nothing", BadName, func(w *tar.Writer) error { return sym("l", "")(w) })
	refused("hard link out", LinkEscapes, hard("h", "../canary/file"))
	refused("hard link absolute", LinkEscapes, hard("h", "/etc/passwd"))
	refused("hard link to what is not there", LinkMissing, hard("h", "later"), reg("later", "x"))
	refused("hard link to itself only", LinkMissing, hard("h", "h"))
	refused("hard link to a directory", LinkMissing, hard("h", "bin"))
	refused("hard link to a link", LinkMissing, sym("a/b/l", "../../x"), hard("h", "a/b/l"))
	refused("hard link over a file", Clash, reg("f", "x"), hard("f", "bin/launch"))
	refused("hard link below a link", ThroughLink, sym("l", "bin"), hard("l/h", "bin/launch"))
	refused("character device", Special, typed("null", tar.TypeChar))
	refused("block device", Special, typed("sda", tar.TypeBlock))
	refused("pipe", Special, typed("pipe", tar.TypeFifo))
	refused("unknown type", Unsupported, typed("odd", 'Z'))

	b = append(b,
		badArchive{name: "too many entries", data: archive(tb, reg("a", ""), reg("b", ""), reg("c", "")), reason: TooMany, limits: Limits{Entries: 2}},
		badArchive{name: "too many directories made", data: archive(tb, reg(deep(60), "")), reason: TooMany, limits: Limits{Entries: 50}},
		badArchive{name: "too many times the same directory", data: archive(tb, dir("d"), dir("d"), dir("d"), dir("d")), reason: TooMany, limits: Limits{Entries: 3}},
		badArchive{name: "too big", data: gz(whole), reason: TooBig, limits: Limits{Bytes: 1000}},
		badArchive{name: "too big by size alone", data: gz(forge(whole, atSize, "77777777777\x00")), reason: TooBig},
		badArchive{name: "sparse terabyte", data: gz(gnuSparse(tb, "77777777777\x00")), reason: TooBig},
		badArchive{name: "dense sparse file", data: gz(gnuSparse(tb, "20000000000\x00")), reason: TooDense},
		badArchive{name: "blank bomb", data: gz(tarball(tb, reg("zeros", strings.Repeat("\x00", 40<<20)))), reason: TooDense},
		badArchive{name: "blank bomb behind the end", data: gz(append(bytes.Clone(whole), make([]byte, 40<<20)...)), reason: TooDense},
		badArchive{name: "zstd bomb", data: zst(tarball(tb, reg("zeros", strings.Repeat("\x00", 40<<20)))), reason: TooDense},
		badArchive{name: "names that fill memory", data: archive(tb, manyNames(9000, 2000)...), reason: TooLong},
	)
	return b
}

func manyNames(n, size int) (entries []entry) {
	for i := range n {
		name := fmt.Sprintf("%06d", i)
		for len(name) < size {
			name += "/" + strings.Repeat("n", 200)
		}
		entries = append(entries, sym(name, "x"))
	}
	return entries
}

func flip(data []byte, at int) []byte {
	out := bytes.Clone(data)
	if at < 0 {
		at += len(out)
	}
	out[at] ^= 0x40
	return out
}

// TestArchive_Malformed_RejectedWithReason shows that each is refused for its own reason, and that nothing beside the target has changed.
func TestArchive_Malformed_RejectedWithReason(t *testing.T) {
	bad := badArchives(t)
	if len(bad) < 40 {
		t.Fatalf("only %d archives", len(bad))
	}
	for _, c := range bad {
		t.Run(c.name, func(t *testing.T) {
			top := canary(t)
			before := snapshot(t, top, "target")
			res, err := extractInto(t, filepath.Join(top, "target"), c.data, c.limits)
			var refused *Error
			if !errors.As(err, &refused) || refused.Reason != c.reason {
				t.Fatalf("got %v, want %q", err, c.reason)
			}
			if res.SHA256 != digest(c.data) || res.Size != int64(len(c.data)) {
				t.Errorf("digest %s of %d bytes is not that of the archive", res.SHA256, res.Size)
			}
			if after := snapshot(t, top, "target"); after != before {
				t.Errorf("outside changed from\n%s\nto\n%s", before, after)
			}
		})
	}
	t.Logf("%d archives refused", len(bad))
}

// canary makes a tree with the target in the middle of things that must stay as they are.
func canary(t *testing.T) string {
	top := t.TempDir()
	for _, d := range []string{"target", "canary/sub", "etc"} {
		must(t, os.MkdirAll(filepath.Join(top, d), 0o755))
	}
	for _, f := range []string{"canary/file", "canary/sub/file", "etc/passwd", "x"} {
		must(t, os.WriteFile(filepath.Join(top, f), []byte("untouched "+f), 0o600))
	}
	return top
}

// snapshot lists every path below top except what lies below skip, with type, mode, time, links and content.
func snapshot(t *testing.T, top, skip string) string {
	var b strings.Builder
	must(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		rel, _ := filepath.Rel(top, path)
		if rel == skip {
			return fs.SkipDir
		}
		if rel == "." {
			return nil
		}
		info, err := d.Info()
		must(t, err)
		var content []byte
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(path)
			must(t, err)
		}
		fmt.Fprintf(&b, "%s %v %v %d %q\n", rel, info.Mode(), info.ModTime().UnixNano(), links(info), content)
		return nil
	}))
	return b.String()
}

// staysInside checks that no link below dir leads out of it, followed by the kernel's rules.
func staysInside(t *testing.T, dir string) {
	real, err := filepath.EvalSymlinks(dir)
	must(t, err)
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		if to, err := filepath.EvalSymlinks(path); err == nil && to != real && !strings.HasPrefix(to, real+"/") {
			t.Errorf("%s leads to %s", path, to)
		}
		return nil
	}))
}
