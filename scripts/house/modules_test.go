package house

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// goMod is what `go mod edit -json` prints of a go.mod or go.work.
type goMod struct {
	Go      string
	Require []struct{ Path, Version string }
	Replace []any
	Use     []struct{ DiskPath string }
}

func (h *house) edit(verb, path string) (mod goMod) {
	h.t.Helper()
	out, err := exec.Command("go", verb, "edit", "-json", path).Output()
	if err == nil {
		err = json.Unmarshal(out, &mod)
	}
	if err != nil {
		h.t.Fatalf("%s: %v", path, err)
	}
	return mod
}

// modules: no replace directives, because `go install module@version` refuses them; one go version; one version of each
// dependency.
func modules(h *house) {
	work := h.edit("work", filepath.Join(root, "go.work"))
	versions, from := map[string]string{}, map[string]string{}
	used := map[string]bool{}
	for _, use := range work.Use {
		path := filepath.Join(root, use.DiskPath, "go.mod")
		used[filepath.Clean(path)] = true
		mod := h.edit("mod", path)
		if len(mod.Replace) > 0 {
			h.fault("modules", use.DiskPath, "go.mod holds a replace: it belongs into go.work")
		}
		if mod.Go != work.Go {
			h.fault("modules", use.DiskPath, "go.mod says go %s, go.work says %s", mod.Go, work.Go)
		}
		for _, r := range mod.Require {
			if v := versions[r.Path]; v != "" && v != r.Version {
				h.fault("modules", use.DiskPath, "wants %s %s, and %s wants %s", r.Path, r.Version, from[r.Path], v)
			}
			versions[r.Path], from[r.Path] = r.Version, use.DiskPath
		}
	}
	_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Name() == "go.mod" && !strings.Contains(path, "testdata") && !used[filepath.Clean(path)] {
			relative, _ := filepath.Rel(root, path)
			h.fault("modules", filepath.ToSlash(relative), "is not in go.work")
		}
		return err
	})
}
