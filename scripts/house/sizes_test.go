package house

import (
	"go/ast"
	"path/filepath"
	"slices"
)

// The limits. Tests may be longer: a long table is as readable as a short one.
const (
	maxFile      = 300
	maxTest      = 600
	medianFile   = 120
	maxFunc      = 60
	maxFields    = 14
	maxMethods   = 3
	maxMainLines = 60
)

func sizes(h *house) {
	var lines []int
	for _, f := range h.files {
		limit := maxFile
		switch {
		case f.test:
			limit = maxTest
		case filepath.Base(f.path) == "main.go" && f.in("agents", "deploy"):
			limit = maxMainLines
		}
		if f.lines > limit {
			h.fault("sizes", f.path, "%d lines, at most %d", f.lines, limit)
		}
		if !f.test {
			lines = append(lines, f.lines)
			ast.Inspect(f.syntax, func(n ast.Node) bool { h.size(f, n); return true })
		}
	}
	slices.Sort(lines)
	median := lines[len(lines)/2]
	h.t.Logf("%d files, median %d lines, 90th %d, longest %d", len(lines), median, lines[len(lines)*9/10], lines[len(lines)-1])
	if median > medianFile {
		h.t.Errorf("the median file has %d lines, at most %d", median, medianFile)
	}
}

func (h *house) size(f *file, n ast.Node) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		long := h.set.Position(n.End()).Line - h.set.Position(n.Pos()).Line + 1
		if long > maxFunc {
			h.fault("sizes", f.path+" "+n.Name.Name, "%d lines, at most %d", long, maxFunc)
		}
	case *ast.TypeSpec:
		switch t := n.Type.(type) {
		case *ast.StructType:
			if many := count(t.Fields); many > maxFields {
				h.fault("sizes", f.path+" "+n.Name.Name, "%d fields, at most %d", many, maxFields)
			}
		case *ast.InterfaceType:
			if many := count(t.Methods); many > maxMethods {
				h.fault("sizes", f.path+" "+n.Name.Name, "%d methods, at most %d", many, maxMethods)
			}
		}
	}
}

func count(list *ast.FieldList) (n int) {
	for _, field := range list.List {
		n += max(1, len(field.Names))
	}
	return n
}
