package store

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// socketAt creates a socket of one user in a directory of another, below a directory of root.
func socketAt(t *testing.T, folder, socket int, mode os.FileMode) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("gives files to other users, which needs root")
	}
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, err := range []error{os.Lchown(path, socket, -1), os.Chown(dir, folder, -1), os.Chmod(filepath.Dir(dir), mode)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestTrusted_SocketOfWhomever_OnlyOfRootSelfOrOwnerOfFolder(t *testing.T) {
	const other, third = 65534, 65533
	for _, c := range []struct {
		name           string
		folder, socket int
		mode           os.FileMode
		want           bool
	}{
		{"root's", 0, 0, 0o755, true},
		{"of the user to whom root gave the folder", other, other, 0o755, true},
		{"of another user than the folder", other, third, 0o755, false},
		{"in a folder of root's", 0, other, 0o755, false},
		{"in a folder that its user may have made himself", other, other, 0o777, false},
	} {
		if got := isTrustedSocket(socketAt(t, c.folder, c.socket, c.mode)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if isTrustedSocket(file) || isTrustedSocket(file+".none") {
		t.Error("what is no socket is trusted")
	}
}
