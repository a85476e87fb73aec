package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var agents = []string{"preparer", "port-authority", "setlive"}

const packageVersion = "7.8.9+12.gabcdef0"

// buildPackage builds the package from this tree.
func buildPackage(t *testing.T) string {
	t.Helper()
	requireTool(t, "dpkg-deb")
	for _, program := range append([]string{"../deploy/platypus"}, "../agents/preparer", "../agents/port-authority", "../agents/setlive") {
		if _, err := os.Stat(filepath.Join(program, "main.go")); err != nil {
			t.Skip("this tree has not all of the programs: ", err)
		}
	}
	cmd := exec.Command("deb/build.sh", t.TempDir())
	// A package for a test need not be small or reproducible.
	cmd.Env = append(os.Environ(), "COMPRESS=gzip", "LEVEL=1", "VERSION="+packageVersion)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestPackage inspects the package, then installs, uses and purges it on a host with systemd and on one with runit.
func TestPackage(t *testing.T) {
	deb, module := buildPackage(t), buildHello(t)
	t.Run("contents", func(t *testing.T) { checkContents(t, deb) })
	t.Run("lintian", func(t *testing.T) {
		t.Parallel()
		// Lintian refuses to run as root without the flag. Its spelling check of binaries yields neither errors nor
		// warnings, and takes as long as everything else.
		out, err := exec.Command(requireTool(t, "lintian"), "--allow-root", "--fail-on", "error,warning", "-X", "binaries/spelling", deb).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("systemd", func(t *testing.T) {
		t.Parallel()
		h := boot(t, "systemd")
		h.copyFile(deb, "/tmp/p.deb")
		h.run("dpkg -i /tmp/p.deb")
		for _, agent := range agents {
			unit := "platypus-" + agent
			h.run("systemctl is-enabled " + unit)
			h.wait("systemctl is-active " + unit)
			h.wait("curl -sf --unix-socket /run/platypus/" + agent + "/http.sock http://agent/healthz")
			// A missing Consul must not cause restarts.
			if n := h.run("systemctl show -P NRestarts " + unit); n != "0" {
				t.Errorf("%s was restarted %s times:\n%s", agent, n, h.run("journalctl -o cat -u "+unit))
			}
		}
		for _, left := range []string{"store", "seed-placer"} {
			if out, _ := h.tryRun("systemctl is-enabled platypus-" + left); out != "disabled" {
				t.Errorf("%s is %s", left, out)
			}
		}
		// The agents find a store that starts later, and become ready.
		h.run("systemctl start platypus-store")
		for _, agent := range agents {
			h.wait("curl -sf --unix-socket /run/platypus/" + agent + "/http.sock http://agent/readyz")
		}
		h.run("systemctl start platypus-seed-placer")
		checkSeed(h, module)
		h.run("kill -9 $(systemctl show -P MainPID platypus-preparer)")
		h.wait("[ $(systemctl show -P NRestarts platypus-preparer) = 1 ] && systemctl is-active platypus-preparer")
		h.run("dpkg -i /tmp/p.deb") // over the same version, as an upgrade
		h.wait("systemctl is-active platypus-preparer platypus-port-authority platypus-setlive")
		runApp(h)
		checkAppOutlivesPurge(h)
		h.run("dpkg -i /tmp/p.deb") // the second purge also removes what the first one left
		checkPurge(h)
	})
	t.Run("runit", func(t *testing.T) {
		t.Parallel()
		h := boot(t, "runit")
		h.copyFile(deb, "/tmp/p.deb")
		h.run("dpkg -i /tmp/p.deb")
		for _, agent := range agents {
			h.wait("sv status platypus-" + agent + " | grep ^run:")
			h.wait("curl -sf --unix-socket /run/platypus/" + agent + "/http.sock http://agent/healthz")
			h.wait("grep -q watching /var/log/platypus/" + agent + "/current")
		}
		for _, agent := range []string{"store", "seed-placer"} {
			h.run("ln -s /etc/sv/platypus-" + agent + " /etc/service/")
		}
		checkSeed(h, module)
		h.run("dpkg -i /tmp/p.deb")
		checkPurge(h)
	})
}

// buildHello builds a module.
func buildHello(t *testing.T) string {
	t.Helper()
	module := filepath.Join(t.TempDir(), "hello.wasm")
	build := exec.Command("go", "build", "-trimpath", "-o", module, "./hello")
	build.Dir = "../testdata/seeds"
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build hello: %v\n%s", err, out)
	}
	return module
}

// checkSeed publishes a module and calls it: the seed-placer compiles it and limits its worker within its unit.
func checkSeed(h host, module string) {
	h.t.Helper()
	h.copyFile(module, "/tmp/hello.wasm")
	h.wait("curl -sf --unix-socket /run/platypus/seed-placer/http.sock http://agent/readyz")
	h.run("platypus seed /tmp/hello.wasm hello --min-replicas 1")
	if out := h.run(`platypus call hello "" "a host of its own" --timeout 120s`); out != "hello, a host of its own" {
		h.t.Errorf("hello answers %q", out)
	}
	if owner := h.run("stat -c %U:%a /var/lib/platypus/seed-placer/seeds.sock"); owner != "platypus:660" {
		h.t.Errorf("the socket at which blobs are put is %s", owner)
	}
}

func checkPurge(h host) {
	h.t.Helper()
	h.run("dpkg --purge platypus")
	left := h.run("find /etc /usr /lib/systemd /run /srv /var/lib /var/log -iname '*platypus*' | grep -v -x /usr/lib/python.*; pgrep -a -f '[/]usr/lib/platypus' || true")
	if left != "" {
		h.t.Errorf("after a purge there still is:\n%s", left)
	}
	if out, err := h.tryRun("getent passwd platypus"); err == nil {
		h.t.Errorf("after a purge there still is the user %s", out)
	}
}

func checkContents(t *testing.T, deb string) {
	out, err := exec.Command("dpkg-deb", "--contents", deb).Output()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		f := strings.Fields(line)
		files = append(files, strings.TrimPrefix(f[5], "."))
		link := f[0][0] == 'l' // the mode of a symlink is meaningless
		if f[1] != "root/root" || !link && (f[0][5] == 'w' || f[0][8] == 'w') {
			t.Errorf("not root's alone to write: %s", line)
		}
	}
	want := []string{"/usr/bin/platypus", "/etc/platypus/env", "/lib/systemd/system/platypus-store.service", "/etc/sv/platypus-store/run",
		"/usr/share/man/man1/platypus.1.gz", "/usr/share/bash-completion/completions/platypus", "/usr/share/doc/platypus/README.md"}
	for _, agent := range agents {
		want = append(want, "/usr/lib/platypus/"+agent, "/lib/systemd/system/platypus-"+agent+".service",
			"/etc/sv/platypus-"+agent+"/run", "/etc/sv/platypus-"+agent+"/log/run", "/usr/share/man/man8/platypus-"+agent+".8.gz")
	}
	for _, file := range want {
		if !slices.Contains(files, file) {
			t.Errorf("the package has no %s", file)
		}
	}
	checkPrograms(t, deb)
}

// checkPrograms unpacks the package and runs the programs in it with version.
func checkPrograms(t *testing.T, deb string) {
	root := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "-x", deb, root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("dpkg-deb", "-f", deb, "Version").Output(); strings.TrimSpace(string(out)) != packageVersion {
		t.Errorf("the package is version %q, %v", out, err)
	}
	for _, program := range append([]string{"platypus", "allocator", "dashboard", "recorder", "seed-placer"}, agents...) {
		path := "usr/lib/platypus/" + program
		if program == "platypus" {
			path = "usr/bin/platypus"
		}
		out, err := exec.Command(filepath.Join(root, path), "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(out), packageVersion) {
			t.Errorf("%s --version: %v: %s", program, err, out)
		}
	}
	complete := `PATH=$1/usr/bin:$PATH; . "$1/usr/share/bash-completion/completions/platypus"
COMP_WORDS=(platypus roll) COMP_CWORD=1 _platypus; echo "${COMPREPLY[@]}"`
	out, err := exec.Command("bash", "-c", complete, "bash", root).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "rollout") {
		t.Errorf("completion of platypus roll: %v: %s", err, out)
	}
}

// A package of a later commit is an upgrade; one of the tag itself is not.
func TestVersion_EachCommit_SortsUpward(t *testing.T) {
	requireTool(t, "dpkg")
	dir, script := t.TempDir(), `set -e
git init -q . && mkdir scripts && cp "$1" scripts/
commit() { git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m "$1"; scripts/version.sh; }
git add . && commit 1 && commit 2 && git tag v1.2.0 && scripts/version.sh && commit 3
for i in 4 5 6 7 8 9 10 11 12; do commit $i; done
git tag v1.3.0 && scripts/version.sh && echo >>scripts/version.sh && scripts/version.sh`
	cmd := exec.Command("sh", "-c", script, "sh", absolute(t, "../scripts/version.sh"))
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	versions := strings.Fields(string(out))
	if !slices.Contains(versions, "1.2.0") || versions[len(versions)-2] != "1.3.0" {
		t.Errorf("a tag's own version is missing: %v", versions)
	}
	for i, version := range versions[1:] {
		if err := exec.Command("dpkg", "--compare-versions", versions[i], "lt", version).Run(); err != nil {
			t.Errorf("%s is not older than %s", versions[i], version)
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return full
}
