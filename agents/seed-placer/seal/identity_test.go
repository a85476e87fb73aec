package seal

import (
	"crypto"
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store/certtest"
)

const host = "127.0.0.1"

func filesOf(a *certtest.Authority, name string) Files {
	cert, key := a.Files(name)
	return Files{cert, key, a.CA()}
}

// TestReadIdentity accepts only what other nodes would accept, and names the file at fault.
func TestReadIdentity(t *testing.T) {
	a, stranger := certtest.New(t), certtest.New(t)
	a.Issue("n1", host, time.Hour)
	a.Issue("other", "127.0.0.2", time.Hour)
	a.Issue("old", host, -time.Minute)
	a.Issue("open", host, time.Hour)
	good, old, open := filesOf(a, "n1"), filesOf(a, "old"), filesOf(a, "open")
	if i, err := ReadIdentity(good, host); err != nil || i.ValidityProblem() != "" {
		t.Fatal(err, i.ValidityProblem())
	}
	if _, err := ReadIdentity(good, "n1"); err != nil {
		t.Errorf("a name instead of an address: %v", err)
	}
	if i, err := ReadIdentity(old, host); err != nil || !strings.Contains(i.ValidityProblem(), "old.crt expired on") {
		t.Errorf("one that expired is to be renewed while the node runs: %v %q", err, i.ValidityProblem())
	}
	if err := os.Chmod(open.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]Files{
		"n1.crt is not signed by --tls-ca":            {good.Cert, good.Key, stranger.CA()},
		"other.key: tls: private key does not match":  {good.Cert, filesOf(a, "other").Key, a.CA()},
		"other.crt does not name 127.0.0.1":           filesOf(a, "other"),
		"open.key is open to everybody":               open,
		"none.crt: no such file":                      filesOf(a, "none"),
		"n1.key: it holds no certificate":             {good.Cert, good.Key, good.Key},
		"read --tls-cert " + good.Key + " with --tls": {good.Key, good.Key, a.CA()},
	} {
		if _, err := ReadIdentity(f, host); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// lent returns a remote signer of an identity, over real pipes.
func lent(t *testing.T, r *Reloader) *RemoteSigner {
	t.Helper()
	asked, asks, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	hears, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- ServeSigner(r, asked, answers); answers.Close() }()
	t.Cleanup(func() { asks.Close(); <-ended; asked.Close(); hears.Close() })
	return NewRemoteSigner(asks, hears)
}

// TestServeSigner_SignsOnlyHandshakes: handshakes of both sides are signed, before and after a renewal, and nothing
// else is.
func TestServeSigner_SignsOnlyHandshakes(t *testing.T) {
	a := certtest.New(t)
	a.Issue("n1", host, time.Hour)
	r, err := OpenReloader(filesOf(a, "n1"), host)
	if err != nil {
		t.Fatal(err)
	}
	borrowed, before := lent(t, r), r.Identity().PublicIdentity
	greet(t, before, borrowed)
	a.Issue("n1", host, time.Hour)
	if changed, err := r.Refresh(); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := r.Refresh(); err != nil || changed {
		t.Errorf("nothing has changed: %v %v", changed, err)
	}
	greet(t, r.Identity().PublicIdentity, borrowed)
	greet(t, before, borrowed) // a handshake may be in progress
	key, err := borrowed.For(r.Identity().PublicIdentity)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Repeat(" ", 64) + "TLS 1.3, server CertificateVerify\x00" + strings.Repeat("d", 32)
	if s, err := crypto.SignMessage(key, nil, []byte(words), crypto.SHA256); err != nil || len(s) == 0 {
		t.Errorf("a handshake is refused: %v", err)
	}
	for _, bad := range []string{"", "anything", words[1:], words + "d", strings.Replace(words, "server", "a page", 1), strings.Replace(words, "1.3", "1.2", 1),
		strings.Repeat(" ", 64) + strings.Repeat("x", 100), strings.Repeat(" ", 200), strings.Repeat("x", 1000)} {
		if s, err := crypto.SignMessage(key, nil, []byte(bad), crypto.SHA256); err == nil {
			t.Errorf("%q is signed: %x", bad, s)
		}
	}
	if s, err := key.Sign(nil, make([]byte, 32), crypto.SHA256); err == nil {
		t.Errorf("a bare digest is signed: %x", s)
	}
	a.Issue("n1", host, time.Hour)
	if _, err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	oldest, err := borrowed.For(before)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := crypto.SignMessage(oldest, nil, []byte(words), crypto.SHA256); err == nil {
		t.Error("the key of before the last but one renewal still signs")
	}
}

// greet does a handshake in which both sides use a remote key.
func greet(t *testing.T, p PublicIdentity, s *RemoteSigner) {
	t.Helper()
	key, err := s.For(p)
	if err != nil {
		t.Fatal(err)
	}
	server, err := p.ServerConfig(key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := p.ClientConfig(key)
	if err != nil {
		t.Fatal(err)
	}
	client.ServerName = host
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(far, server)
		_, err := io.WriteString(conn, "x")
		done <- err
	}()
	conn := tls.Client(near, client)
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || conn.ConnectionState().Version != tls.VersionTLS13 {
		t.Fatal(err)
	}
}

// TestRefresh_HalfRenewed_KeepsPrevious keeps the previous identity until the new files are complete.
func TestRefresh_HalfRenewed_KeepsPrevious(t *testing.T) {
	a := certtest.New(t)
	a.Issue("n1", host, time.Hour)
	files := filesOf(a, "n1")
	r, err := OpenReloader(files, host)
	if err != nil {
		t.Fatal(err)
	}
	before := r.Identity()
	old, err := os.ReadFile(files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	a.Issue("n1", host, time.Hour)
	fresh, err := os.ReadFile(files.Cert)
	if err == nil {
		err = os.WriteFile(files.Cert, old, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := r.Refresh(); err == nil || changed || r.Identity() != before {
		t.Errorf("a key without its certificate is taken: %v", err)
	}
	if err := os.WriteFile(files.Cert, fresh, 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := r.Refresh(); err != nil || !changed || r.Identity() == before {
		t.Errorf("the whole set is not taken: %v", err)
	}
}
