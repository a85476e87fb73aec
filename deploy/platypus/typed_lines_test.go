package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/platypus-platform/platypus/store/consultest"
)

// TestLinesAsTyped runs the lines that the documentation of the history promises as a person types them, testdata/typed.sh,
// on every store there is.
func TestLinesAsTyped(t *testing.T) {
	consul := consultest.Need(t)
	for _, name := range []string{"git", "awk", "tar"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s", name)
		}
	}
	script, err := filepath.Abs("testdata/typed.sh")
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	bin := binaries(t)
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Symlink(bin, filepath.Join(dir, "bin")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", script)
			cmd.Dir = dir
			cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + os.TempDir(), "NO_COLOR=1", "CONSUL_HTTP_ADDR=" + start(t),
				fmt.Sprintf("PATH=%s:%s", filepath.Dir(consul), os.Getenv("PATH"))}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v", err)
			}
			if err != nil || testing.Verbose() {
				t.Logf("%s", out)
			}
		})
	}
}
