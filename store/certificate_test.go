package store_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/certtest"
	"github.com/platypus-platform/platypus/store/consultest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// tlsStore is a TLS store that uses the latest certificate for "store" and requires client certificates.
func tlsStore(t *testing.T, a *certtest.Authority) string {
	server := httptest.NewUnstartedServer(embedtest.Open(t))
	server.TLS = a.Server("store")
	server.Config.ErrorLog = nopLogger
	server.StartTLS()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// asAgent is the configuration of a client with the latest certificate for "agent".
func asAgent(a *certtest.Authority, address string) store.Config {
	cert, key := a.Files("agent")
	return store.Config{Address: address, CAFile: a.CA(), CertFile: cert, KeyFile: key}
}

// TestStore_CertificateRejected_ReportsItAndRecovers: a rejected certificate on either side is reported as such, and
// after its renewal requests succeed with or without a Reload.
func TestStore_CertificateRejected_ReportsItAndRecovers(t *testing.T) {
	const here = "127.0.0.1"
	a := certtest.New(t)
	stranger := certtest.New(t).In(a.Dir)
	a.Issue("store", here, time.Hour)
	a.Issue("agent", here, time.Hour)
	address := tlsStore(t, a)
	for _, reload := range []bool{false, true} {
		for name, c := range map[string]struct{ spoil, mend func() }{
			"the store's has expired":  {func() { a.Issue("store", here, -time.Minute) }, func() { a.Issue("store", here, time.Hour) }},
			"the store's is unknown":   {func() { stranger.Issue("store", here, time.Hour) }, func() { a.Issue("store", here, time.Hour) }},
			"ours has expired":         {func() { a.Issue("agent", here, -time.Minute) }, func() { a.Issue("agent", here, time.Hour) }},
			"ours is unknown":          {func() { stranger.Issue("agent", here, time.Hour) }, func() { a.Issue("agent", here, time.Hour) }},
			"the authority is another": {stranger.Publish, a.Publish},
		} {
			c.spoil()
			s, err := store.Open(asAgent(a, address))
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, name, func() bool { // the connection may close before the alert arrives
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
				_, _, _ = s.Get(t.Context(), "a", store.Default) // a rejection, which triggers a reload
			}
			if err := s.Put(t.Context(), "a", []byte("1")); err != nil {
				t.Errorf("%s, mended (told so: %v): %v", name, reload, err)
			}
		}
	}
}

// TestReload_KeyWithoutItsCertificate_KeepsTheOldPair: during a renewal the key may not match the certificate yet.
func TestReload_KeyWithoutItsCertificate_KeepsTheOldPair(t *testing.T) {
	a := certtest.New(t)
	a.Issue("store", "127.0.0.1", time.Hour)
	a.Issue("agent", "", time.Hour)
	s, err := store.Open(asAgent(a, tlsStore(t, a)))
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := a.Files("agent")
	old, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	a.Issue("agent", "", time.Hour)
	if err := os.WriteFile(cert, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("a certificate that is not the key's is taken")
	}
	if err := s.Put(t.Context(), "a", []byte("1")); err != nil {
		t.Error(err)
	}
}

// TestWatch_TokenRotated_Continues replaces the token file and revokes the old token: a watch continues without a
// Reload.
func TestWatch_TokenRotated_Continues(t *testing.T) {
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
