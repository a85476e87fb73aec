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

// sealed is a store that speaks TLS, with the certificate that the authority issued for "store" last, and wants the
// client's.
func sealed(t *testing.T, a *certtest.Authority) string {
	server := httptest.NewUnstartedServer(embedtest.Open(t))
	server.TLS = a.Server("store")
	server.Config.ErrorLog = silent
	server.StartTLS()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// asAgent is how to reach it with the certificate that was issued for "agent" last.
func asAgent(a *certtest.Authority, address string) store.Config {
	cert, key := a.Files("agent")
	return store.Config{Address: address, CAFile: a.CA(), CertFile: cert, KeyFile: key}
}

// TestCertificates: one that is not accepted, on either side, is told as such; once it is renewed the store is reached
// again, whether or not anybody said so.
func TestCertificates(t *testing.T) {
	const here = "127.0.0.1"
	a := certtest.New(t)
	stranger := certtest.New(t).In(a.Dir)
	a.Issue("store", here, time.Hour)
	a.Issue("agent", here, time.Hour)
	address := sealed(t, a)
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
	a := certtest.New(t)
	a.Issue("store", "127.0.0.1", time.Hour)
	a.Issue("agent", "", time.Hour)
	s, err := store.Open(asAgent(a, sealed(t, a)))
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
