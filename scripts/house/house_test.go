package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// root is the path of the repository from this package.
const root = "../.."

// file is one parsed Go file.
type file struct {
	path   string // relative to root
	syntax *ast.File
	lines  int
	test   bool
}

func (f *file) dir() string { return filepath.ToSlash(filepath.Dir(f.path)) }

// in reports whether the file lies below one of the folders.
func (f *file) in(folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(f.path, folder+"/") })
}

// house is the parsed repository and the exceptions used so far.
type house struct {
	t     *testing.T
	set   *token.FileSet
	files []*file
	used  map[string]bool
}

// TestHouse checks the rules of the repository. A deliberate violation needs a line with a reason in exceptions.
func TestHouse(t *testing.T) {
	h := &house{set: token.NewFileSet(), used: map[string]bool{}}
	stayFresh()
	if err := h.parse(); err != nil {
		t.Fatal(err)
	}
	if len(h.files) < 20 {
		t.Fatalf("only %d Go files: is this the repository?", len(h.files))
	}
	for _, rule := range []struct {
		name  string
		check func(*house)
	}{
		{"imports", imports}, {"plans are pure", purePlans}, {"modules", modules}, {"sizes", sizes}, {"packages", packages},
		{"names", names}, {"documentation", documentation}, {"folders of agents", agentFolders}, {"it speaks of itself alone", itself},
	} {
		t.Run(rule.name, func(t *testing.T) {
			h.t = t
			rule.check(h)
		})
	}
	for key := range exceptions {
		if !h.used[key] {
			t.Errorf("the exception %q excuses nothing: take it out", key)
		}
	}
}

// fault fails the test unless the rule has an exception at that place.
func (h *house) fault(rule, where, format string, args ...any) {
	h.t.Helper()
	key := rule + " " + where
	if exceptions[key] != "" {
		h.used[key] = true
		return
	}
	h.t.Errorf("%s: %s (exceptions: %q)", where, fmt.Sprintf(format, args...), key)
}

func (h *house) parse() error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "dist") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(h.set, path, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		h.files = append(h.files, &file{filepath.ToSlash(relative), syntax, strings.Count(string(source), "\n"), strings.HasSuffix(name, "_test.go")})
		return err
	})
}

// product calls do for each file that is not a test.
func (h *house) product(do func(*file)) {
	for _, f := range h.files {
		if !f.test {
			do(f)
		}
	}
}

// stayFresh disables the test cache, which only notices changes in this module, while the checked files are in others.
// A result that depends on a file this new is never cached.
func stayFresh() {
	now := time.Now()
	if os.Chtimes("doc.go", now, now) == nil {
		_, _ = os.ReadFile("doc.go")
	}
}
