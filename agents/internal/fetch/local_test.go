package fetch

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLocal_LinkBelowRepository_IsNotFollowed: an artifact, a companion file or a directory that is a symbolic link is
// refused wherever it leads, and nothing of what it leads to is in the message.
func TestLocal_LinkBelowRepository_IsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	must(t, os.MkdirAll(filepath.Join(repo, "slug"), 0o755))
	must(t, os.MkdirAll(filepath.Join(repo, "private"), 0o700))
	must(t, os.MkdirAll(filepath.Join(dir, "outside"), 0o700))
	for _, file := range []string{"repo/slug/good", "repo/private/good", "outside/good"} {
		must(t, os.WriteFile(filepath.Join(dir, file), []byte("database password"), 0o600))
	}
	for link, target := range map[string]string{
		"slug/out": "../../outside/good", "slug/absolute": filepath.Join(dir, "outside/good"), "slug/inside": "../private/good",
		"slug/neighbour": "good", "other": "../outside", "alias": "private", "slug/nowhere": "nothing", "slug/self": "self",
	} {
		must(t, os.Symlink(target, filepath.Join(repo, link)))
	}
	for _, name := range []string{"slug/out", "slug/absolute", "slug/inside", "slug/neighbour", "other/good", "alias/good", "slug/nowhere", "slug/self"} {
		req := Request{URL: filepath.Join(repo, name), Repo: repo}
		_, errGet := Get(context.Background(), req)
		_, errSmall := Small(context.Background(), req, 1000)
		_, errLook := Stat(context.Background(), req)
		for _, err := range []error{errGet, errSmall, errLook} {
			if ReasonOf(err) != NotRegular || !strings.Contains(err.Error(), "a symbolic link, which is not followed") || strings.Contains(err.Error(), "password") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	data, err := Small(context.Background(), Request{URL: filepath.Join(repo, "slug/good"), Repo: repo}, 1000)
	if err != nil || string(data) != "database password" {
		t.Errorf("a plain file: %q, %v", data, err)
	}
}

// TestLocal_LinkToRepository_IsFollowed: the way to the repository is the operator's choice.
func TestLocal_LinkToRepository_IsFollowed(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "disk2/slug"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "disk2/slug/f"), []byte("x"), 0o644))
	must(t, os.Symlink("disk2", filepath.Join(dir, "repo")))
	for _, repo := range []string{filepath.Join(dir, "repo"), filepath.Join(dir, "repo") + "/"} {
		f, err := Get(context.Background(), Request{URL: filepath.Join(dir, "repo/slug/f"), Repo: repo})
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// TestLocal_HardLinkToForeignFile_IsRefused: where the kernel lets anybody make one, it is what a symbolic link was.
func TestLocal_HardLinkToForeignFile_IsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root, to own files as two users")
	}
	repo := t.TempDir()
	slug, secret := filepath.Join(repo, "slug"), filepath.Join(repo, "secret")
	must(t, os.Mkdir(slug, 0o755))
	must(t, os.Chown(slug, 1, 1))
	must(t, os.WriteFile(secret, []byte("password"), 0o600))
	must(t, os.Link(secret, filepath.Join(slug, "f")))
	if _, err := Get(context.Background(), Request{URL: filepath.Join(slug, "f"), Repo: repo}); ReasonOf(err) != Refused {
		t.Errorf("opened: %v", err)
	}
	must(t, os.Chown(slug, 0, 0))
	if _, err := Get(context.Background(), Request{URL: filepath.Join(slug, "f"), Repo: repo}); err != nil {
		t.Errorf("in a directory of the file's owner: %v", err)
	}
}

// TestError_SaysAddressAndCauseOnce: what is in the address is not repeated by the cause.
func TestError_SaysAddressAndCauseOnce(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ path, repo, says string }{
		{"/slug/none", dir, "fetch file://" + dir + "/slug/none: no such file or directory"},
		{"/none", "", "fetch file://" + dir + "/none: no such file or directory"},
		{"/none/slug/f", dir + "/none", "fetch " + dir + "/none: the repository itself is not there"},
		{"", "", "fetch file://" + dir + ": not regular"},
	} {
		_, err := Get(context.Background(), Request{URL: dir + c.path, Repo: c.repo})
		if err == nil || err.Error() != c.says {
			t.Errorf("%v, want %s", err, c.says)
		}
	}
}
