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

// File permissions control access to a unix socket. Everyone on the machine can connect to a TCP address, and for a
// loopback address so can any web page in a local browser, through a name of its own that resolves there (DNS
// rebinding). So over TCP a request needs the token, a host name of this machine, and no foreign origin.

// access is the access control of a TCP address.
type access struct {
	host  string // the host part of the configured listen address
	token []byte // nil: no token required
}

// TokenFile is the path where Serve stores the token of a data directory.
func TokenFile(data string) string { return filepath.Join(data, "token") }

// newAccess returns the access control of an address. It creates the token of the data directory at first use.
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
		a.token, err = createToken(TokenFile(config.Data))
	}
	return a, err
}

func readToken(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode()&0o077 != 0 {
		return nil, fmt.Errorf("token %s is open to others (%s): remove it, a new one is made at the next start",
			path, info.Mode())
	}
	text, err := os.ReadFile(path)
	if text = bytes.TrimSpace(text); err == nil && len(text) == 0 {
		err = fmt.Errorf("token %s is empty: remove it, a new one is made at the next start", path)
	}
	return text, err
}

func createToken(path string) ([]byte, error) {
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

// reject answers a request that must not be served, and reports whether it did. Two endpoints need no token, so that
// clients can check that the store is up.
func (a *access) reject(c *fasthttp.RequestCtx) bool {
	if a == nil {
		return false
	}
	h := &c.Request.Header
	host := string(h.Host())
	origin, site := string(h.Peek("Origin")), string(h.Peek("Sec-Fetch-Site"))
	path, _, _ := strings.Cut(string(h.RequestURI()), "?")
	switch {
	case host != "" && !a.isOwnHost(stripPort(host)):
		c.Error("this store does not answer to that name: use the address that it printed at its start",
			http.StatusMisdirectedRequest)
	case isForeignOrigin(origin, host) || site != "" && site != "same-origin" && site != "none":
		c.Error("this store does not answer pages of other sites", http.StatusForbidden)
	case path != "/v1/status/leader" && path != "/v1/status/peers" && !a.hasToken(h):
		c.Error("Permission denied: this store wants its token: set CONSUL_HTTP_TOKEN_FILE to the file that it named at its start",
			http.StatusForbidden)
	default:
		return false
	}
	return true
}

// isOwnHost reports whether a host is a name or an address of this machine. A numeric address cannot be the name of a
// foreign page, so when the store listens beyond loopback every one is accepted.
func (a *access) isOwnHost(host string) bool {
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

func (a *access) hasToken(h *fasthttp.RequestHeader) bool {
	if a.token == nil {
		return true
	}
	given := h.Peek("X-Consul-Token")
	if len(given) == 0 {
		given = bytes.TrimPrefix(h.Peek("Authorization"), []byte("Bearer "))
	}
	return subtle.ConstantTimeCompare(given, a.token) == 1
}

// isForeignOrigin reports whether the request comes from a page of another origin than host.
func isForeignOrigin(origin, host string) bool {
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || u.Host == "" || u.Host != host
}

func stripPort(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// Loopback reports whether a host is localhost or a loopback address.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}
