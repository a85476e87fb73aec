package certtest

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestAuthority shows each kind of certificate to a server and to a client that believe one authority.
func TestAuthority(t *testing.T) {
	a, stranger, now := New(t), New(t), time.Now()
	if a.CA() == stranger.CA() {
		t.Fatal("two authorities write to one file")
	}
	const here = "127.0.0.1"
	a.Issue("me", here, time.Hour)
	a.Issue("late", here, -time.Minute)
	stranger.In(a.Dir).Issue("forged", here, time.Hour)
	a.Issue("server", here, time.Hour)
	for name, c := range map[string]struct {
		server *tls.Config
		client *tls.Config
		says   string // of why the client is not answered, "" for one that is
	}{
		"good":                     {a.Server("server"), a.Client("me"), ""},
		"a client without":         {a.Server("server"), a.Client(""), "certificate required"},
		"an expired client":        {a.Server("server"), a.Client("late"), "expired certificate"},
		"a client of another":      {a.Server("server"), a.Client("forged"), "unknown certificate authority"},
		"an expired server":        {a.Server("late"), a.Client("me"), "has expired"},
		"a server of another":      {a.Server("forged"), a.Client("me"), "unknown authority"},
		"another authority":        {a.Server("server"), stranger.In(a.Dir).Client("me"), "unknown authority"},
		"not valid yet":            {serves(a.Pair("x", here, now.Add(time.Hour), now.Add(2*time.Hour))), a.Client("me"), "not yet valid"},
		"another address":          {serves(a.Pair("x", "192.0.2.1", now.Add(-time.Hour), now.Add(time.Hour))), a.Client(""), "not " + here},
		"a pair, and nothing else": {serves(a.Pair("x", here, now.Add(-time.Hour), now.Add(time.Hour))), a.Client(""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := greet(t, c.server, c.client)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %v, want %q", err, c.says)
			}
		})
	}
	if secret := a.Secret("me"); len(secret) != 32 || string(secret) == string(a.Secret("late")) {
		t.Errorf("the secret has %d bytes, or is everybody's", len(secret))
	}
	if flags := a.Flags("n1", "", time.Hour); len(flags) != 6 || a.Load("n1").Leaf.Subject.CommonName != "n1" {
		t.Errorf("flags %q", flags)
	}
}

func serves(pair tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// greet connects the two and returns why the client does not hear the server's greeting. The server hears the client out
// even where it has refused it: what is left unread would take its refusal with it.
func greet(t *testing.T, server, client *tls.Config) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = tls.Server(conn, server).Write([]byte("h"))
		_, _ = io.Copy(io.Discard, conn)
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	listener.Close()
	<-done
	return err
}
