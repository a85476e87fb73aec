package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mount puts a small file system of its own below the basedir.
func (r *harness) mount(options string) {
	r.Helper()
	if os.Geteuid() != 0 {
		r.Skip("needs root to mount a small file system")
	}
	r.check(os.MkdirAll(r.basedir(), 0o755))
	if err := syscall.Mount("platypus-test", r.basedir(), "tmpfs", 0, "mode=755,"+options); err != nil {
		r.Skipf("needs a small file system: %v", err)
	}
	r.Cleanup(func() { r.check(syscall.Unmount(r.basedir(), syscall.MNT_DETACH)) })
}

// publishBig packs versions of so many bytes that do not compress, for a repository on this host.
func (r *harness) publishBig(size int, versions ...string) {
	for _, v := range versions {
		noise := make([]byte, size/4*3)
		_, _ = rand.Read(noise)
		data, err := packed(".tar.gz", v, base64.StdEncoding.EncodeToString(noise))
		r.check(err)
		path := filepath.Join(r.dir, "repo/slug/slug_"+v+".tar.gz")
		r.check(os.MkdirAll(filepath.Dir(path), 0o755))
		r.check(os.WriteFile(path, data, 0o644))
	}
}

func (r *harness) once(versions string) string {
	r.Helper()
	r.put("clusters/slug/c/config", `{"versions":{`+versions+`}}`)
	out, _ := r.agent(nil, "--once", "--repo", filepath.Join(r.dir, "repo")).CombinedOutput()
	return string(out)
}

func (r *harness) installed() string {
	r.Helper()
	entries, err := os.ReadDir(filepath.Join(r.basedir(), "installs"))
	r.check(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return fmt.Sprint(names)
}

// TestDisk_Full_PrunesSpares runs out of bytes: the spare install gives way to the wanted one; what is live stays, and
// when nothing can give way, the reason is told and nothing half done is left.
func TestDisk_Full_PrunesSpares(t *testing.T) {
	r := newHarness(t)
	r.mount("size=64m")
	r.put("clusters/slug/c/deploy_config", fmt.Sprintf(`{"basedir":%q,"keep":2}`, r.basedir()))
	r.publishBig(20<<20, "v1", "v2", "v3", "v4")
	r.once(`"v1":"active"`)
	out := r.once(`"v2":"active"`)
	if got := r.installed(); got != "[slug_v1 slug_v2]" {
		t.Fatalf("%s: %s", got, out)
	}
	out = r.once(`"v3":"active"`)
	if got := r.installed(); !strings.Contains(out, "slug/v3: no_space: ") || got != "[]" && got != "[slug_v3]" {
		t.Fatalf("%s: %s", got, out)
	}
	r.once(`"v3":"active"`)
	r.check(os.Symlink(filepath.Join(r.basedir(), "installs/slug_v3"), filepath.Join(r.basedir(), "current")))
	out = r.once(`"v2":"active"`)
	if got := r.installed(); got != "[slug_v2 slug_v3]" {
		t.Fatalf("%s: %s", got, out)
	}
	out = r.once(`"v2":"active","v4":"prep"`)
	if got := r.installed(); !strings.Contains(out, "slug/v4: no_space: "+r.basedir()+" needs ") || got != "[slug_v2 slug_v3]" {
		t.Errorf("%s: %s", got, out)
	}
	if left, _ := os.ReadDir(filepath.Join(r.basedir(), staging)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestBasedir_MountInside_Refused: a basedir may lie on another file system than the state directory, but nothing may
// be mounted on what we rename to.
func TestBasedir_MountInside_Refused(t *testing.T) {
	r := newHarness(t)
	r.mount("size=64m")
	r.publishBig(1<<10, "v1", "v2")
	if out := r.once(`"v1":"active"`); r.installed() != "[slug_v1]" {
		t.Fatal(out)
	}
	installs := filepath.Join(r.basedir(), "installs")
	r.check(syscall.Mount("platypus-test", installs, "tmpfs", 0, "mode=755,size=1m"))
	mounted := true
	defer func() {
		if mounted {
			r.check(syscall.Unmount(installs, syscall.MNT_DETACH))
		}
	}()
	if out := r.once(`"v1":"active","v2":"prep"`); !strings.Contains(out, "slug/v2: in_the_way: installs/, .staging/ and .trash/ must lie on one file system") {
		t.Error(out)
	}
	if left, _ := os.ReadDir(filepath.Join(r.basedir(), staging)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	r.check(syscall.Unmount(installs, 0))
	mounted = false
	if out := r.once(`"v1":"active","v2":"prep"`); r.installed() != "[slug_v1 slug_v2]" {
		t.Error(out)
	}
}

// TestDisk_ReadOnly_RecoversLater: the reason is told, what is there stays, and all goes on once it can be written
// again.
func TestDisk_ReadOnly_RecoversLater(t *testing.T) {
	r := newHarness(t)
	r.mount("size=64m")
	r.publishBig(1<<10, "v1", "v2")
	r.once(`"v1":"active"`)
	r.check(syscall.Mount("", r.basedir(), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "mode=755,size=64m"))
	if out := r.once(`"v1":"active","v2":"prep"`); !strings.Contains(out, "slug/v2: read_only: ") || r.installed() != "[slug_v1]" {
		t.Error(out)
	}
	if s := r.state(); s.Phase != "failed" || s.Attempts != 1 || !strings.Contains(s.Reason, "v2: read_only: ") {
		t.Errorf("state %+v", s)
	}
	r.check(syscall.Mount("", r.basedir(), "", syscall.MS_REMOUNT, "mode=755,size=64m"))
	if out := r.once(`"v1":"active","v2":"prep"`); r.installed() != "[slug_v1 slug_v2]" {
		t.Error(out)
	}
}

// TestDisk_NoInodes_Reported runs out of inodes instead.
func TestDisk_NoInodes_Reported(t *testing.T) {
	r := newHarness(t)
	r.mount("size=64m,nr_inodes=200")
	r.publishBig(1<<10, "v1")
	if out := r.once(`"v1":"active"`); !strings.Contains(out, "slug/v1: no_space: "+r.basedir()+" has hardly any inodes left") {
		t.Error(out)
	}
}
