package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/certtest"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestFetch_LyingHolders: nodes with a valid certificate that send wrong, truncated or endless data are asked first,
// and the module is still fetched from the honest one.
func TestFetch_LyingHolders(t *testing.T) {
	t.Parallel()
	c, a := newCluster(t, embedtest.Start(t)), certtest.New(t)
	n2, _ := c.sealed(a, 2, time.Hour)
	module := fixture.Go(t, "hello")
	sum := sha256.Sum256(module)
	digest := intent.Name(hex.EncodeToString(sum[:]))
	evil := bytes.Repeat([]byte("evil"), len(module)/4)
	var asked atomic.Int64
	for i, lie := range []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(evil) },
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(module)))
			_, _ = w.Write(evil[:1000])
		},
		func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(evil[:1000])
		},
	} {
		name := fmt.Sprintf("a%d", i)
		a.Issue(name, "127.0.0.1", time.Hour)
		pair, err := tls.LoadX509KeyPair(a.Files(name))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			lie(w, r)
		}))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		server.StartTLS()
		t.Cleanup(server.Close)
		err = c.store.Put(context.Background(), c.tree.Host(intent.Name(name)), []byte(fmt.Sprintf(`{"address":%q}`, server.URL)))
		if err == nil {
			err = c.store.Put(context.Background(), c.tree.Holder(digest, intent.Name(name)), []byte(`{"size":1}`))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	n1, _ := c.sealed(a, 1, time.Hour) // it learns of the liars before it learns of the seed
	c.publish(n2, module, "hello", map[string]any{"labels": map[string]string{"only": "n1"}})
	c.ready("hello", 1)
	c.answers(n1, "hello/", "you", "hello, you")
	if asked.Load() == 0 {
		t.Error("nobody asked the liars")
	}
}
