package deploy_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// Makes a signed release for this machine, verifies it as a downloader would, and installs it into a folder.
func TestRelease_Tarball_InstallsAndVerifies(t *testing.T) {
	requireTool(t, "minisign")
	dir := t.TempDir()
	script := `set -e
minisign -GW -p key.pub -s key.sec >/dev/null
MINISIGN_KEY=$PWD/key.sec "$1" out >made
test "$(wc -l <made)" = 3
cd out
minisign -Vm SHA256SUMS -p ../key.pub && sha256sum -c SHA256SUMS
grep -q '"name": "github.com/hashicorp/consul/api"' platypus_*_sbom.cdx.json
tar xzf platypus_*.tar.gz && ./platypus_*/install.sh "$PWD/root" /usr
root/usr/bin/platypus version
root/usr/lib/platypus/setlive --version
test -s root/usr/share/man/man8/platypus-setlive.8.gz
grep -q /usr/lib/platypus/setlive root/etc/systemd/system/platypus-setlive.service
root/usr/lib/platypus/platypus-suite nothing && exit 1 || test $? = 64`
	cmd := exec.Command("bash", "-c", script, "bash", absolute(t, "release.sh"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ARCHS="+runtime.GOARCH, "VERSION="+packageVersion)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if n := strings.Count(string(out), packageVersion); n < 2 {
		t.Errorf("the programs do not say version %s:\n%s", packageVersion, out)
	}
}
