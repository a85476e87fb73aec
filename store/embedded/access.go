package embedded

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/valyala/fasthttp"
)

// Who may connect to a unix socket is for the file system to say. Everybody on the machine may connect to a TCP
// address, and with a loopback address so may every web page that a browser on it shows, by a name of its own that
// resolves to that address. So over TCP a request needs the token, a name of this machine, and no foreign origin.

// access guards a TCP address.
type access struct {
	host  string // what the address was asked for, without the port
	token []byte // nil: none is needed
}

// TokenFile is where Serve keeps the token of a data directory.
func TokenFile(data string) string { return filepath.Join(data, "token") }

// newAccess returns the guard of an address, with the token of the data directory, made at first use.
func newAccess(config Config) (*access, error) {
	host, _, err := net.SplitHostPort(config.Listen)
	if err != nil {
		return nil, err
	}
	a := &access{host: host}
	if config.NoToken {
		return a, nil
	}
	a.token, err = readToken(TokenFile(config.Data))
	if errors.Is(err, os.ErrNotExist) {
		a.token, err = makeToken(TokenFile(config.Data))
	}
	return a, err
}

func readToken(path string) ([]byte, error) {
	at, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if at.Mode()&0o077 != 0 {
		return nil, fmt.Errorf("token %s is open to others (%s): remove it, a new one is made at the next start",
			path, at.Mode())
	}
	text, err := os.ReadFile(path)
	if text = bytes.TrimSpace(text); err == nil && len(text) == 0 {
		err = fmt.Errorf("token %s is empty: remove it, a new one is made at the next start", path)
	}
	return text, err
}

func makeToken(path string) ([]byte, error) {
	token := rand.Text()
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(token + "\n")
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, err
	}
	return []byte(token), syncDir(filepath.Dir(path))
}

// refuse answers a request that may not be answered, and reports whether it did. Without a token there are only the two
// endpoints by which a client sees that the store is up.
func (a *access) refuse(c *fasthttp.RequestCtx) bool {
	if a == nil {
		return false
	}
	h := &c.Request.Header
	host := string(h.Host())
	origin, site := string(h.Peek("Origin")), string(h.Peek("Sec-Fetch-Site"))
	path, _, _ := strings.Cut(string(h.RequestURI()), "?")
	switch {
	case host != "" && !a.known(hostOf(host)):
		c.Error("this store does not answer to that name: use the address that it printed at its start",
			http.StatusMisdirectedRequest)
	case foreign(origin, host) || site != "" && site != "same-origin" && site != "none":
		c.Error("this store does not answer pages of other sites", http.StatusForbidden)
	case path != "/v1/status/leader" && path != "/v1/status/peers" && !a.admitted(h):
		c.Error("Permission denied: this store wants its token: set CONSUL_HTTP_TOKEN_FILE to the file that it named at its start",
			http.StatusForbidden)
	default:
		return false
	}
	return true
}

// known reports whether a host is a name or an address of this machine. An address in numbers is never the name of
// somebody else's page; beyond loopback, which of them this machine has is not looked up.
func (a *access) known(host string) bool {
	if Loopback(host) || host == a.host {
		return true
	}
	if Loopback(a.host) {
		return false
	}
	_, err := netip.ParseAddr(host)
	name, _ := os.Hostname()
	return err == nil || name != "" && strings.EqualFold(host, name)
}

func (a *access) admitted(h *fasthttp.RequestHeader) bool {
	if a.token == nil {
		return true
	}
	given := h.Peek("X-Consul-Token")
	if len(given) == 0 {
		given = bytes.TrimPrefix(h.Peek("Authorization"), []byte("Bearer "))
	}
	return subtle.ConstantTimeCompare(given, a.token) == 1
}

// foreign reports whether a page of another origin than this host asks.
func foreign(origin, host string) bool {
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || u.Host != host
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// Loopback reports whether a host is localhost or an address of the loopback interface.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
