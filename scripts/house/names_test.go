package house

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// vague words say nothing about what a thing is.
var vague = regexp.MustCompile(`(^|[a-z0-9])(Manager|Handler|Helper|Utils?|Base|Info|Impl)($|[A-Z0-9])`)

// declared calls do for each package-level name and each method.
func declared(f *file, do func(name *ast.Ident, isType bool, doc ...*ast.CommentGroup)) {
	for _, d := range f.syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || receiver(d).IsExported() {
				do(d.Name, false, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					do(s.Name, true, d.Doc, s.Doc, s.Comment)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						do(name, false, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
}

func receiver(d *ast.FuncDecl) (name *ast.Ident) {
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == nil {
			name = id
		}
		return name == nil
	})
	return name
}

func names(h *house) {
	h.product(func(f *file) {
		for _, word := range strings.Split(f.dir(), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "base", "misc"}, word) {
				h.fault("names", f.path, "a folder named %s says nothing", word)
			}
		}
		declared(f, func(name *ast.Ident, isType bool, _ ...*ast.CommentGroup) {
			if (name.IsExported() || isType) && vague.MatchString(upper(name.Name)) {
				h.fault("names", f.path+" "+name.Name, "the name says nothing")
			}
		})
		for _, d := range f.syntax.Decls {
			if init, ok := d.(*ast.FuncDecl); ok && init.Recv == nil && init.Name.Name == "init" {
				h.fault("names", f.path+" init", "init() runs where nobody called it")
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok {
				for _, method := range i.Methods.List {
					for _, name := range method.Names {
						if name.IsExported() && vague.MatchString(name.Name) {
							h.fault("names", f.path+" "+name.Name, "the name says nothing")
						}
					}
				}
			}
			return true
		})
	})
}

func upper(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// packages: each has exactly one package comment; that of a command is its manual.
func packages(h *house) {
	comments := map[string]int{}
	h.product(func(f *file) {
		key := path.Join(f.dir(), f.syntax.Name.Name)
		comments[key] += 0
		if f.syntax.Doc != nil && !strings.HasPrefix(f.syntax.Doc.Text(), "Copyright") {
			comments[key]++
		}
	})
	for key, n := range comments {
		if n != 1 {
			h.fault("packages", key, "%d package comments, want one", n)
		}
	}
}

func documentation(h *house) {
	h.product(func(f *file) {
		if f.syntax.Name.Name == "main" {
			return
		}
		declared(f, func(name *ast.Ident, _ bool, doc ...*ast.CommentGroup) {
			said := slices.ContainsFunc(doc, func(c *ast.CommentGroup) bool { return c != nil && c.Text() != "" })
			if name.IsExported() && !said {
				h.fault("documentation", f.path+" "+name.Name, "exported without a word")
			}
		})
	})
}
