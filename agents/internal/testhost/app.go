package testhost

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/host"
)

// Launch scripts of apps for tests.
const (
	// Calm runs until TERM.
	Calm = "#!/bin/sh\necho up $PLATYPUS_VERSION\nexec sleep 1000\n"
	// Stubborn ignores TERM, and so does its child.
	Stubborn = "#!/bin/sh\ntrap '' TERM\nsh -c 'sleep 1000' &\nwhile :; do sleep 1; done\n"
	// Doomed ends at once.
	Doomed = "#!/bin/sh\nexit 3\n"
)

// Prepare puts a version in place below basedir, as preparer would, with launch as its bin/launch.
func Prepare(t testing.TB, basedir, app, version, launch string) {
	t.Helper()
	bin := filepath.Join(basedir, "installs", app+"_"+version, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "launch"), []byte(launch), 0o755); err != nil {
		t.Fatal(err)
	}
	marker := filepath.Join(filepath.Dir(bin), ".platypus.json")
	if err := os.WriteFile(marker, []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// GoLive points the link current below basedir to a version.
func GoLive(t testing.TB, basedir, app, version string) {
	t.Helper()
	if err := host.SwapLink(filepath.Join(basedir, "current"), filepath.Join(basedir, "installs", app+"_"+version)); err != nil {
		t.Fatal(err)
	}
}

// Scratch is a new folder that every user may enter. Inside a booted systemd it is on a real disk.
func Scratch(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for at := dir; at != os.TempDir() && len(at) > len(os.TempDir()); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
