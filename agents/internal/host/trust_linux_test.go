package host

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// grant gives a user rights to a file by a POSIX ACL, as setfacl -m u:USER:rwx does.
func grant(t *testing.T, path string, user uint32, perm, mask uint16) {
	t.Helper()
	value := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 7, ^uint32(0)}, {aclUser, perm, user}, {aclGroupObj, 5, ^uint32(0)}, {aclMask, mask, ^uint32(0)}, {0x20, 5, ^uint32(0)}} {
		value = binary.LittleEndian.AppendUint16(value, e.tag)
		value = binary.LittleEndian.AppendUint16(value, e.perm)
		value = binary.LittleEndian.AppendUint32(value, e.id)
	}
	err := unix.Setxattr(path, "system.posix_acl_access", value, 0)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("needs a file system with ACLs")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestTrustCheck_PathsOthersCanChange_AreUnsafe(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const friend, stranger = 1, 2
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		unsafe string // part of the message; "" for none
	}{
		"as root made it":           {func(*testing.T, string) {}, ""},
		"a trusted user's":          {func(t *testing.T, dir string) { chown(t, dir, friend) }, ""},
		"a stranger's":              {func(t *testing.T, dir string) { chown(t, dir, stranger) }, "a belongs to user 2"},
		"a stranger's file":         {func(t *testing.T, dir string) { chown(t, dir+"/b/launch", stranger) }, "launch belongs to user 2"},
		"open to all":               {func(t *testing.T, dir string) { chmod(t, dir, 0o777) }, "others"},
		"open to all, sticky":       {func(t *testing.T, dir string) { chmod(t, dir, 0o777|os.ModeSticky) }, ""},
		"open to root's group":      {func(t *testing.T, dir string) { chmod(t, dir, 0o775) }, ""},
		"ACL of a stranger":         {func(t *testing.T, dir string) { grant(t, dir, stranger, 7, 7) }, "user 2 through its ACL"},
		"ACL of a stranger, a file": {func(t *testing.T, dir string) { grant(t, dir+"/b/launch", stranger, 7, 7) }, "user 2 through its ACL"},
		"ACL masked":                {func(t *testing.T, dir string) { grant(t, dir, stranger, 7, 5) }, ""},
		"ACL of a trusted user":     {func(t *testing.T, dir string) { grant(t, dir, friend, 7, 7) }, ""},
		"ACL to read":               {func(t *testing.T, dir string) { grant(t, dir, stranger, 5, 7) }, ""},
		"a link out": {func(t *testing.T, dir string) {
			other := t.TempDir()
			chown(t, other, stranger)
			rename(t, dir+"/b", other+"/b")
			symlink(t, other+"/b", dir+"/b")
		}, "belongs to user 2"},
		"a stranger's link": {func(t *testing.T, dir string) {
			rename(t, dir+"/b", dir+"/c")
			symlink(t, "c", dir+"/b")
			if err := os.Lchown(dir+"/b", stranger, -1); err != nil {
				t.Fatal(err)
			}
		}, "b belongs to user 2"},
		"a loop of links": {func(t *testing.T, dir string) {
			rename(t, dir+"/b", dir+"/c")
			symlink(t, "b", dir+"/b")
		}, "links"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a")
			if err := os.MkdirAll(dir+"/b", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(dir+"/b/launch", nil, 0o755); err != nil {
				t.Fatal(err)
			}
			c.change(t, dir)
			err := NewTrust(friend).Check(dir + "/b/launch")
			if c.unsafe == "" && err != nil || c.unsafe != "" && (!errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), c.unsafe)) {
				t.Errorf("%v, want %q", err, c.unsafe)
			}
		})
	}
	if err := NewTrust().Check("/nowhere/at/all"); err != nil {
		t.Errorf("what is absent: %v", err)
	}
}

func chown(t *testing.T, path string, user int) {
	t.Helper()
	if err := os.Chown(path, user, -1); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}
