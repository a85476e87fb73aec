package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func links(info fs.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Nlink) }

func extractInto(t testing.TB, dir string, data []byte, lim Limits) (Result, error) {
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	return Archive(context.Background(), bytes.NewReader(data), root, lim)
}

// TestArchive_UnusualButValid_Extracted shows that what is odd but sound is taken, with the modes every install has.
func TestArchive_UnusualButValid_Extracted(t *testing.T) {
	long := strings.Repeat("directory-with-a-long-name/", 20) + "file"
	whole := tarball(t, launch(), reg("data", strings.Repeat("x", 100_000)))
	cut := len(whole) / 2
	for _, c := range []struct {
		name string
		data []byte
		want string // lines of listing
	}{
		{"as tar makes it from a directory", archive(t, dir("./"), dir("./bin/"), exe("./bin/launch", "go")), "bin d755|bin/launch f755 go"},
		{"directories twice", archive(t, dir("a"), reg("a/f", "x"), dir("a"), dir("./a/")), "a d755|a/f f644 x"},
		{"directory after its file", archive(t, reg("a/b/f", "x"), dir("a/b"), dir("a")), "a d755|a/b d755|a/b/f f644 x"},
		{"parents missing", archive(t, reg("a/b/c/f", "x")), "a d755|a/b d755|a/b/c d755|a/b/c/f f644 x"},
		{"empty directory", archive(t, dir("empty")), "empty d755"},
		{"empty file", archive(t, reg("f", "")), "f f644 "},
		{"read-only directory", archive(t, put(tar.Header{Name: "ro/", Typeflag: tar.TypeDir, Mode: 0o555}, ""), reg("ro/f", "x")), "ro d755|ro/f f644 x"},
		{"private modes", archive(t, put(tar.Header{Name: "p", Typeflag: tar.TypeReg, Mode: 0o600}, "x"), put(tar.Header{Name: "q", Typeflag: tar.TypeReg, Mode: 0o700}, "x"), put(tar.Header{Name: "none", Typeflag: tar.TypeReg, Mode: 0o1000}, "x")), "none f0 x|p f600 x|q f700 x"},
		{"private directories", archive(t, put(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o700}, ""), put(tar.Header{Name: "d", Typeflag: tar.TypeDir, Mode: 0o700}, ""), reg("d/f", "x"), reg("e/f", "x"), put(tar.Header{Name: "e", Typeflag: tar.TypeDir, Mode: 0o750}, "")), "d d700|d/f f644 x|e d750|e/f f644 x"},
		{"setuid, setgid, sticky, writable", archive(t, put(tar.Header{Name: "s", Typeflag: tar.TypeReg, Mode: 0o7777}, "x"), put(tar.Header{Name: "d", Typeflag: tar.TypeDir, Mode: 0o7777}, "")), "d d755|s f755 x"},
		{"owned by others", archive(t, put(tar.Header{Name: "f", Typeflag: tar.TypeReg, Uid: 1234, Gid: 99, Uname: "who"}, "x")), "f f644 x"},
		{"links inside", archive(t, reg("lib/libx.so.1.2", "so"), sym("lib/libx.so.1", "libx.so.1.2"), sym("lib/libx.so", "libx.so.1"), sym("bin/x", "../lib/libx.so"), sym("here", ".")), "bin d755|bin/x -> ../lib/libx.so|here -> .|lib d755|lib/libx.so -> libx.so.1|lib/libx.so.1 -> libx.so.1.2|lib/libx.so.1.2 f644 so"},
		{"dangling link inside", archive(t, sym("l", "not/yet"), sym("a/m", "../n")), "a d755|a/m -> ../n|l -> not/yet"},
		{"links in a circle", archive(t, sym("a", "b"), sym("b", "a")), "a -> b|b -> a"},
		{"link that goes down and up", archive(t, dir("a/b"), sym("l", "a/b/../b")), "a d755|a/b d755|l -> a/b/../b"},
		{"hard links", archive(t, reg("d/f", "x"), hard("d/g", "d/f"), hard("h", "./d/g"), hard("d/f", "d/f")), "d d755|d/f f644 x|d/g f644 x|h f644 x"},
		{"long names", archive(t, reg(long, "x")), ""},
		{"gnu long names", archive(t, put(tar.Header{Name: long, Typeflag: tar.TypeReg, Format: tar.FormatGNU}, "x"), put(tar.Header{Name: "l", Linkname: long, Typeflag: tar.TypeSymlink, Format: tar.FormatGNU}, "")), ""},
		{"from git archive", archive(t, func(w *tar.Writer) error {
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "abc"}})
		}, reg("f", "x")), "f f644 x"},
		{"extended attributes", archive(t, put(tar.Header{Name: "f", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1", "SCHILY.xattr.security.capability": "x"}}, "x")), "f f644 x"},
		{"names in other scripts", archive(t, reg("données/日本 語.txt", "x"), reg("sp ace\\", "y")), "données d755|données/日本 語.txt f644 x|sp ace\\ f644 y"},
		{"names that only begin with dots", archive(t, reg("..a/...", "x"), reg(".env", "y")), "..a d755|..a/... f644 x|.env f644 y"},
		{"many gzip members", append(gz(whole[:cut]), gz(whole[cut:])...), ""},
		{"padded to a tape record", gz(append(bytes.Clone(whole), make([]byte, 10240)...)), ""},
		{"zstd", zst(whole), ""},
		{"many zstd frames, one to skip", append(append(zst(whole[:cut]), 0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9), zst(whole[cut:])...), ""},
		{"old sparse file", gz(gnuSparse(t, "00000010000\x00")), ""},
		{"pre-1988 header", gz(forge(tarball(t, reg("f", "x")), 257, strings.Repeat("\x00", 8))), "f f644 x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := syscall.Umask(0o077) // what a unit file may well set must not show
			defer syscall.Umask(old)
			top := t.TempDir()
			res, err := extractInto(t, top, c.data, Limits{})
			must(t, err)
			if res.SHA256 != digest(c.data) || res.Size != int64(len(c.data)) {
				t.Errorf("digest %s, size %d", res.SHA256, res.Size)
			}
			got := listing(t, top)
			if c.want != "" && got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if got == "" {
				t.Error("nothing extracted")
			}
			staysInside(t, top)
		})
	}
}

// listing returns one word for each path below top, joined by "|".
func listing(t *testing.T, top string) string {
	var lines []string
	must(t, filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		rel, _ := filepath.Rel(top, path)
		info, err := d.Info()
		must(t, err)
		switch mode := info.Mode(); {
		case rel == ".":
		case mode.IsDir():
			lines = append(lines, fmt.Sprintf("%s d%o", rel, mode.Perm()|mode&(os.ModeSetuid|os.ModeSetgid|os.ModeSticky)))
		case mode.IsRegular():
			data, err := os.ReadFile(path)
			must(t, err)
			if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != os.Getuid() {
				t.Errorf("%s belongs to %d", rel, st.Uid)
			}
			lines = append(lines, fmt.Sprintf("%s f%o %s", rel, mode.Perm()|mode&(os.ModeSetuid|os.ModeSetgid|os.ModeSticky), data))
		default:
			target, err := os.Readlink(path)
			must(t, err)
			lines = append(lines, rel+" -> "+target)
		}
		return nil
	}))
	return strings.Join(lines, "|")
}

func TestArchive_KeepsContentTimesAndHardLinks(t *testing.T) {
	top := t.TempDir()
	big := strings.Repeat("all kinds of bytes \x00\xff", 200_000)
	at := time.Date(2014, 8, 31, 2, 42, 58, 0, time.UTC)
	res, err := extractInto(t, top, archive(t, put(tar.Header{Name: "big", Typeflag: tar.TypeReg, ModTime: at}, big), reg("small", "s"), hard("twin", "small")), Limits{})
	must(t, err)
	must(t, Sync(top))
	must(t, syncEach(top))
	data, err := os.ReadFile(filepath.Join(top, "big"))
	must(t, err)
	info, err := os.Stat(filepath.Join(top, "big"))
	must(t, err)
	if string(data) != big || !info.ModTime().Equal(at) || res.Bytes != int64(len(big)+1) || res.Files != 3 {
		t.Errorf("%d bytes, time %v, result %+v", len(data), info.ModTime(), res)
	}
	a, _ := os.Stat(filepath.Join(top, "small"))
	b, _ := os.Stat(filepath.Join(top, "twin"))
	if !os.SameFile(a, b) {
		t.Error("hard link became a copy")
	}
}

// TestArchive_DiskOrSourceError_IsNotARejection keeps what is wrong with the disk, the source or the caller apart from bad archives.
func TestArchive_DiskOrSourceError_IsNotARejection(t *testing.T) {
	good := archive(t, launch(), reg("data", strings.Repeat("x", 1<<20)))
	cut := errors.New("connection cut")
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		name string
		ctx  context.Context
		src  io.Reader
		dir  func(string) string
		want error
	}{
		{"source fails at once", t.Context(), iotest.ErrReader(cut), same, cut},
		{"source fails in the middle", t.Context(), io.MultiReader(bytes.NewReader(good[:len(good)/2]), iotest.ErrReader(cut)), same, cut},
		{"source fails behind a bad entry", t.Context(), io.MultiReader(bytes.NewReader(archive(t, reg("../x", "x"))), iotest.ErrReader(cut)), same, cut},
		{"caller gave up", ended, bytes.NewReader(good), same, context.Canceled},
		{"name is taken", t.Context(), bytes.NewReader(good), func(d string) string {
			must(t, os.WriteFile(filepath.Join(d, "data"), nil, 0o600))
			return d
		}, fs.ErrExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, err := os.OpenRoot(c.dir(t.TempDir()))
			must(t, err)
			defer root.Close()
			_, err = Archive(c.ctx, c.src, root, Limits{})
			var refused *Error
			if errors.As(err, &refused) || !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func same(dir string) string { return dir }

// FuzzArchive feeds anything at all: no panic, no hang, nothing outside the target, always the digest.
func FuzzArchive(f *testing.F) {
	for _, c := range badArchives(f) {
		if len(c.data) < 64<<10 {
			f.Add(c.data, true)
		}
	}
	f.Add(tarball(f, launch(), sym("l", "bin")), false)
	lim := Limits{Bytes: 1 << 20, Entries: 200}
	f.Fuzz(func(t *testing.T, data []byte, compressed bool) {
		if !compressed {
			data = gz(data) // lets mutations reach the tar reader
		}
		top := t.TempDir()
		must(t, os.Mkdir(filepath.Join(top, "target"), 0o755))
		must(t, os.WriteFile(filepath.Join(top, "canary"), nil, 0o600))
		before := snapshot(t, top, "target")
		res, err := extractInto(t, filepath.Join(top, "target"), data, lim)
		if after := snapshot(t, top, "target"); after != before {
			t.Fatalf("outside changed: %s", after)
		}
		if err == nil {
			staysInside(t, filepath.Join(top, "target"))
		}
		if res.SHA256 != digest(data) {
			t.Fatalf("wrong digest beside %v", err)
		}
	})
}
