package story

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/store/consultest"
)

// TestDocs_Commands_WorkAsTyped runs the lines that the documentation promises, with the paths and ports that they name, on a
// machine of their own made of namespaces.
func TestDocs_Commands_WorkAsTyped(t *testing.T) {
	testhost.NeedRoot(t)
	testhost.NeedTools(t, "unshare", "ip", "curl", "runsvdir", "iptables")
	consul := consultest.Need(t)
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	w := &harness{TB: t, bin: bin, dir: t.TempDir()}
	for _, version := range []string{"56d459e7", "e928e5ad"} {
		w.write(filepath.Join(w.dir, "pack", version, "bin/launch"), "#!/bin/sh\nexec sleep 1000000\n")
		w.packed("slug", version)
	}
	if err := os.CopyFS(filepath.Join(w.dir, "bin"), os.DirFS(bin)); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("testdata/typed.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", script)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(consul)+":"+os.Getenv("PATH"), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
}
