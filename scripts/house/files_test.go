package house

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// agentFolders: all agents have the same folder structure.
func agentFolders(h *house) {
	mains, err := filepath.Glob(filepath.Join(root, "agents", "*", "main.go"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, main := range mains {
		dir := filepath.Dir(main)
		for _, name := range []string{"plan.go", "observe.go", "apply.go", "plan_test.go", "agent_test.go", "testdata", "README.md"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				h.fault("folders", "agents/"+filepath.Base(dir), "there is no %s", name)
			}
		}
	}
}

// elsewhere matches paths that exist only on the author's machine.
var elsewhere = regexp.MustCompile(`/wo` + `rk/[a-z]|/ro` + `ot/(go|\.cache)|/tmp/bash` + `_jobs|/ho` + `me/[a-z]+/`)

// itself searches for traces of the machines on which the repository was written.
func itself(h *house) {
	out, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		h.t.Skipf("list what is tracked: %v", err)
	}
	for _, path := range strings.Split(strings.Trim(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil || bytes.IndexByte(data, 0) >= 0 {
			continue // deleted, or not a text file
		}
		for i, line := range strings.Split(string(data), "\n") {
			if found := elsewhere.FindString(line); found != "" {
				h.fault("itself", path, "line %d names %s, a place on some machine", i+1, found)
			}
		}
	}
}
