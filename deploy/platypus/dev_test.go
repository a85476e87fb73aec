package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hang is how long a test waits for what happens within seconds.
const hang = 2 * time.Minute

// TestDev takes a machine from nothing to a running app with one command, upgrades it with a second one, and looks for
// anything that is left when the first ends. It runs as whoever runs it.
func TestDev(t *testing.T) {
	for _, needed := range []string{"runsvdir", "sv", "iptables-restore"} {
		if _, err := runTool(context.Background(), needed, "--version"); errors.Is(err, exec.ErrNotFound) {
			t.Skipf("needs %s", needed)
		}
	}
	t.Parallel()
	bin, dir := binaries(t), t.TempDir()
	pack(t, dir, "1.0")
	pack(t, dir, "1.1")
	file := filepath.Join(dir, "web.json")
	write(t, file, fmt.Sprintf(`{"nodes/here/web": {"cluster": "p"},
		"clusters/web/p/config": {"versions": {"1.0": "active"}},
		"clusters/web/p/deploy_config": {"basedir": %q, "ports": [8080], "health": {"interval": "100ms", "min_healthy": "100ms"}}}`, filepath.Join(dir, "srv")))
	log, err := os.Create(filepath.Join(dir, "dev.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, "platypus"), args...)
		cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR=unix://"+filepath.Join(dir, "lab/store.sock"),
			"CONSUL_HTTP_TOKEN_FILE="+filepath.Join(dir, "lab/store/token"), "NO_COLOR=1", "PLATYPUS_ROOT=platypus")
		return cmd
	}
	dev := command("dev", "--dir", filepath.Join(dir, "lab"), "--listen", "127.0.0.1:0", file)
	dev.Env = append(dev.Env, "CONSUL_HTTP_TOKEN_FILE=") // there is none before it runs
	dev.Stdout, dev.Stderr = log, log
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- dev.Wait() }()
	t.Cleanup(func() {
		_ = dev.Process.Kill()
		if said, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("dev said:\n%s", said)
		}
	})
	eventually(t, "web 1.0 is live", func() bool {
		out, err := command("status", "--check", "--app", "web").CombinedOutput()
		return err == nil && strings.Contains(string(out), "8080/tcp")
	})
	if out, err := command("rollout", "web", "1.1", "--wait").CombinedOutput(); err != nil {
		t.Errorf("rollout: %v: %s", err, out)
	}
	for _, line := range []string{"restart web --wait", "stop web --wait", "start web --wait"} {
		if out, err := command(strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", line, err, out)
		}
	}
	seedOnDev(t, command, dir)
	if ran, _ := os.ReadFile(filepath.Join(dir, "srv/ran")); string(ran) != "1.0\n1.1\n1.1\n1.1\n" {
		t.Errorf("these versions ran: %q", ran)
	}
	stopped(t, dev, ended)
	if left := working(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// seedOnDev publishes a module at the socket that dev has chosen, and calls it.
func seedOnDev(t *testing.T, command func(...string) *exec.Cmd, dir string) {
	t.Helper()
	module := filepath.Join(dir, "hello.wasm")
	write(t, module, string(buildSeed(t, "hello")))
	eventually(t, "its seed-placer takes blobs", func() bool {
		_, err := os.Stat(filepath.Join(dir, "lab/seeds.sock"))
		return err == nil
	})
	if out, err := command("seed", module, "hello", "--min-replicas", "1", "--socket", filepath.Join(dir, "lab/seeds.sock")).CombinedOutput(); err != nil {
		t.Fatalf("seed: %v: %s", err, out)
	}
	if out, err := command("call", "hello", "", "dev", "--timeout", hang.String()).CombinedOutput(); err != nil || string(out) != "hello, dev" {
		t.Errorf("call: %v: %s", err, out)
	}
	if said, err := os.ReadFile(filepath.Join(dir, "dev.log")); err != nil || bytes.Contains(said, []byte("http://127.0.0.1:8080\n")) {
		t.Errorf("seeds are served where web is to listen, or nowhere: %v", err)
	}
}

// buildSeed builds a module of testdata/seeds; "reactor+" is a reactor.
func buildSeed(t *testing.T, name string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "seed.wasm")
	args := []string{"build", "-trimpath", "-o", out}
	if strings.HasSuffix(name, "+") {
		args = append(args, "-buildmode=c-shared")
	}
	cmd := exec.Command("go", append(args, "./"+strings.TrimSuffix(name, "+"))...)
	cmd.Dir = "../../testdata/seeds"
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "GOFLAGS=")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", name, err, said)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// stopped does what Ctrl-C does and waits.
func stopped(t *testing.T, dev *exec.Cmd, ended <-chan error) {
	t.Helper()
	if err := dev.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("dev ended: %v", err)
		}
	case <-time.After(hang):
		t.Fatal("dev does not end")
	}
}

// working are the processes, dead ones that nobody waited for apart, that have to do with a directory.
func working(dir string) (found []string) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		cmdline, _ := os.ReadFile(proc + "/cmdline")
		cwd, _ := os.Readlink(proc + "/cwd")
		if strings.HasPrefix(cwd, dir) || bytes.Contains(cmdline, []byte(dir)) {
			found = append(found, filepath.Base(proc)+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// pack makes an artifact whose program notes its version and stays.
func pack(t *testing.T, dir, version string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	script := fmt.Sprintf("#!/bin/sh\necho %s >>%s\nexec sleep 1000000\n", version, filepath.Join(dir, "srv/ran"))
	if err := w.WriteHeader(&tar.Header{Name: "bin/launch", Mode: 0o755, Size: int64(len(script))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(script)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "lab/artifacts/web/web_"+version+".tar.gz"), b.String())
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hang); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", hang, what)
		}
	}
}
