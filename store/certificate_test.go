package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	a := authority{t: t}
	a.cert, a.key = a.sign("authority", time.Hour)
	return a
}

// sign makes a certificate that is good for a while from an hour ago on.
func (a authority) sign(name string, life time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	wanted := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: a.cert == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, parentKey := a.cert, a.key
	if parent == nil {
		parent, parentKey = wanted, key
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, parent, &key.PublicKey, parentKey)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue writes a certificate and its key where a client looks for them.
func (a authority) issue(dir, name string, life time.Duration) {
	a.t.Helper()
	cert, key := a.sign(name, life)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, filepath.Join(dir, name+".key"), "EC PRIVATE KEY", der)
	writePEM(a.t, filepath.Join(dir, name+".crt"), "CERTIFICATE", cert.Raw)
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sealed is a store that speaks TLS and wants the client's certificate.
func sealed(t *testing.T, clients authority, serves *atomic.Pointer[tls.Certificate]) string {
	behind := embedtest.Server(t)
	pool := x509.NewCertPool()
	pool.AddCert(clients.cert)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		behind.Config.Handler.ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{*serves.Load()}}, nil
	}}
	server.Config.ErrorLog = silent
	server.StartTLS()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// TestCertificates: one that is not accepted, on either side, is told as such; once it is renewed the store is reached
// again, whether or not anybody said so.
func TestCertificates(t *testing.T) {
	a, stranger, dir := newAuthority(t), newAuthority(t), t.TempDir()
	ca := filepath.Join(dir, "ca.crt")
	var serves atomic.Pointer[tls.Certificate]
	serve := func(by authority, life time.Duration) {
		cert, key := by.sign("store", life)
		serves.Store(&tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})
	}
	serve(a, time.Hour)
	writePEM(t, ca, "CERTIFICATE", a.cert.Raw)
	a.issue(dir, "agent", time.Hour)
	address := sealed(t, a, &serves)
	for _, reload := range []bool{false, true} {
		for name, c := range map[string]struct{ spoil, mend func() }{
			"the store's has expired":  {func() { serve(a, -time.Minute) }, func() { serve(a, time.Hour) }},
			"the store's is unknown":   {func() { serve(stranger, time.Hour) }, func() { serve(a, time.Hour) }},
			"ours has expired":         {func() { a.issue(dir, "agent", -time.Minute) }, func() { a.issue(dir, "agent", time.Hour) }},
			"ours is unknown":          {func() { stranger.issue(dir, "agent", time.Hour) }, func() { a.issue(dir, "agent", time.Hour) }},
			"the authority is another": {func() { writePEM(t, ca, "CERTIFICATE", stranger.cert.Raw) }, func() { writePEM(t, ca, "CERTIFICATE", a.cert.Raw) }},
		} {
			c.spoil()
			s, err := store.Open(store.Config{Address: address, CAFile: ca, CertFile: filepath.Join(dir, "agent.crt"), KeyFile: filepath.Join(dir, "agent.key")})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, name, func() bool { // the alert may lose the race against the end of the connection
				err := s.Put(t.Context(), "a", []byte("1"))
				if err == nil || !errors.Is(err, store.ErrUnreachable) {
					t.Fatalf("%s: %v", name, err)
				}
				return errors.Is(err, store.ErrCertificate) && !errors.Is(err, store.ErrUnknown)
			})
			c.mend()
			if reload {
				if err := s.Reload(); err != nil {
					t.Error(err)
				}
			} else {
				_, _, _ = s.Get(t.Context(), "a", store.Default) // the refusal that makes it look
			}
			if err := s.Put(t.Context(), "a", []byte("1")); err != nil {
				t.Errorf("%s, mended (told so: %v): %v", name, reload, err)
			}
		}
	}
}

// TestHalfRenewed: a key without its certificate, as it is for a moment while both are renewed, does not take the store
// away from who has it.
func TestHalfRenewed(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	var serves atomic.Pointer[tls.Certificate]
	cert, key := a.sign("store", time.Hour)
	serves.Store(&tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})
	writePEM(t, filepath.Join(dir, "ca.crt"), "CERTIFICATE", a.cert.Raw)
	a.issue(dir, "agent", time.Hour)
	s, err := store.Open(store.Config{Address: sealed(t, a, &serves), CAFile: filepath.Join(dir, "ca.crt"),
		CertFile: filepath.Join(dir, "agent.crt"), KeyFile: filepath.Join(dir, "agent.key")})
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(dir, "agent.crt"))
	if err != nil {
		t.Fatal(err)
	}
	a.issue(dir, "agent", time.Hour)
	if err := os.WriteFile(filepath.Join(dir, "agent.crt"), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("a certificate that is not the key's is taken")
	}
	if err := s.Put(t.Context(), "a", []byte("1")); err != nil {
		t.Error(err)
	}
}

// TestTokenRotated puts another token into the file and takes the old one away: who watches goes on without being told.
func TestTokenRotated(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, consultest.Config{Token: "root"})
	root, err := store.Open(store.Config{Address: c.Addr, Token: "root"})
	if err != nil {
		t.Fatal(err)
	}
	tree, file := anyTree(t), filepath.Join(t.TempDir(), "token")
	assign(t, root, tree, "slug", "v1")
	rotate := func() string {
		secret := c.NewToken(`key_prefix "" { policy = "list" }`)
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return secret
	}
	old := rotate()
	s, err := store.Open(store.Config{Address: c.Addr, TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, s, tree)
	w.until("slug at v1", active("slug", "v1"))
	if code, answer, err := c.AskAs(old, "GET", "/v1/acl/token/self", ""); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s %v", code, answer, err)
	} else {
		_, accessor, _ := strings.Cut(answer, `"AccessorID": "`)
		c.Must("DELETE", "/v1/acl/token/"+accessor[:36], "")
	}
	eventually(t, "the old token is refused", func() bool {
		_, _, err := s.Get(t.Context(), tree.Config("slug", "c"), store.Default)
		return isDenied(err)
	})
	rotate()
	assign(t, root, tree, "slug", "v2")
	w.until("slug at v2", active("slug", "v2"))
}
