package house

import (
	"go/ast"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/platypus-platform/platypus/"

// owners are the only folders that may import a dependency, so that the dependencies of each binary are obvious from
// its folder.
var owners = map[string][]string{
	"github.com/hashicorp/consul/api": {"store"},
	"github.com/coreos/go-iptables":   {"agents/port-authority"},
	"github.com/tetratelabs/wazero":   {"agents/seed-placer", "deploy/platypus"},
	"github.com/sirupsen/logrus":      {"agents", "deploy/platypus"},
	module + "agents":                 {"agents"},
	module + "store":                  {"store", "agents", "deploy"},
	module + "deploy":                 {"deploy"},
	module + "scripts":                {"scripts"},
}

func imports(h *house) {
	h.product(func(f *file) {
		for _, path := range importsOf(f) {
			first, _, _ := strings.Cut(path, "/")
			own := f.in("intent") && strings.HasPrefix(path, module+"intent")
			if f.in("intent", "agents/converge") && strings.Contains(first, ".") && !own {
				h.fault("imports", f.path, "imports %s: here is only the standard library", path)
			}
			for dependency, folders := range owners {
				if (path == dependency || strings.HasPrefix(path, dependency+"/")) && !f.in(folders...) {
					h.fault("imports", f.path, "imports %s, which only %s may", path, strings.Join(folders, ", "))
				}
			}
		}
	})
}

func importsOf(f *file) (paths []string) {
	for _, spec := range f.syntax.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// impure are imports by which a plan could do I/O; impureTime are functions of time that it must not call.
var (
	impure     = []string{"os", "net", "io", "log", "context", "syscall", "math/rand", module + "store"}
	impureTime = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}
)

func purePlans(h *house) {
	h.product(func(f *file) {
		if filepath.Base(f.path) != "plan.go" || !f.in("agents") {
			return
		}
		for _, path := range importsOf(f) {
			if path == "net/netip" {
				continue // addresses are values, not I/O
			}
			for _, forbidden := range impure {
				if path == forbidden || strings.HasPrefix(path, forbidden+"/") {
					h.fault("plans", f.path, "imports %s: a plan only thinks", path)
				}
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(impureTime, s.Sel.Name) {
					h.fault("plans", f.path, "asks time.%s: time is an observation", s.Sel.Name)
				}
			}
			return true
		})
	})
}
