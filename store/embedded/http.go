package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// call is one HTTP request to an endpoint.
type call struct {
	store  *Store
	w      http.ResponseWriter
	r      *http.Request
	query  url.Values
	suffix string // the part of the path after the route's path
}

// endpoint returns a value to send as JSON, or nil when it has written the response itself.
type endpoint func(*call) (any, error)

type route struct {
	path    string // ends in "/" if a suffix is allowed
	methods []string
	handler endpoint
}

// httpError is an error with its HTTP status; any other error is a 500.
type httpError struct {
	code int
	text string
}

func (e httpError) Error() string { return e.text }

func badRequest(format string, values ...any) error {
	return httpError{http.StatusBadRequest, fmt.Sprintf(format, values...)}
}

var routes = []route{
	{"/v1/kv/", []string{"GET", "PUT", "DELETE"}, (*call).kv},
	{"/v1/txn", []string{"PUT"}, (*call).txn},
	{"/v1/session/create", []string{"PUT"}, (*call).sessionCreate},
	{"/v1/session/destroy/", []string{"PUT"}, (*call).sessionDestroy},
	{"/v1/session/renew/", []string{"PUT"}, (*call).sessionRenew},
	{"/v1/session/info/", []string{"GET"}, (*call).sessionInfo},
	{"/v1/session/node/", []string{"GET"}, (*call).sessionNode},
	{"/v1/session/list", []string{"GET"}, (*call).sessionList},
	{"/v1/status/leader", []string{"GET"}, (*call).statusLeader},
	{"/v1/status/peers", []string{"GET"}, (*call).statusPeers},
	{"/v1/agent/self", []string{"GET"}, (*call).agentSelf},
	{"/v1/agent/members", []string{"GET"}, (*call).agentMembers},
	{"/v1/agent/services", []string{"GET"}, (*call).agentServices},
	{"/v1/agent/service/register", []string{"PUT"}, (*call).serviceRegister},
	{"/v1/agent/service/deregister/", []string{"PUT"}, (*call).serviceDeregister},
	{"/v1/agent/service/", []string{"GET"}, (*call).agentService},
	{"/v1/agent/checks", []string{"GET"}, (*call).agentChecks},
	{"/v1/agent/check/register", []string{"PUT"}, (*call).checkRegister},
	{"/v1/agent/check/deregister/", []string{"PUT"}, (*call).checkDeregister},
	{"/v1/agent/check/pass/", []string{"PUT"}, (*call).checkPass},
	{"/v1/agent/check/warn/", []string{"PUT"}, (*call).checkWarn},
	{"/v1/agent/check/fail/", []string{"PUT"}, (*call).checkFail},
	{"/v1/agent/check/update/", []string{"PUT"}, (*call).checkUpdate},
	{"/v1/catalog/datacenters", []string{"GET"}, (*call).catalogDatacenters},
	{"/v1/catalog/nodes", []string{"GET"}, (*call).catalogNodes},
	{"/v1/catalog/services", []string{"GET"}, (*call).catalogServices},
	{"/v1/catalog/service/", []string{"GET"}, (*call).catalogService},
	{"/v1/catalog/node/", []string{"GET"}, (*call).catalogNode},
	{"/v1/health/service/", []string{"GET"}, (*call).healthService},
	{"/v1/health/checks/", []string{"GET"}, (*call).healthChecks},
	{"/v1/health/node/", []string{"GET"}, (*call).healthNode},
	{"/v1/health/state/", []string{"GET"}, (*call).healthState},
}

// Handler returns Consul's HTTP API on this store. Blocking queries end when the store closes or their request is
// cancelled.
func (s *Store) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Store) serve(w http.ResponseWriter, r *http.Request) {
	if strings.ContainsFunc(r.URL.Path, func(c rune) bool { return !unicode.IsPrint(c) }) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	matched, rest, found := findRoute(r.URL.Path)
	if escaped := r.URL.EscapedPath(); cleanPath(escaped) != escaped {
		redirect(w, r, cleanPath(escaped))
		return
	}
	if !found {
		if _, _, found = findRoute(r.URL.Path + "/"); found {
			redirect(w, r, r.URL.EscapedPath()+"/")
			return
		}
		writeNotFound(w, r.URL.Path)
		return
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", "OPTIONS,"+strings.Join(matched.methods, ","))
		return
	}
	c := &call{store: s, w: w, r: r, suffix: rest}
	value, err := c.dispatch(matched)
	if err != nil {
		c.writeError(err)
		return
	}
	if value != nil {
		c.writeJSON(http.StatusOK, value)
	}
}

func (c *call) dispatch(matched *route) (any, error) {
	var err error
	if raw := c.r.URL.RawQuery; raw != "" {
		if c.query, err = url.ParseQuery(raw); err != nil {
			return nil, httpError{http.StatusInternalServerError, ""}
		}
	}
	if !slices.Contains(matched.methods, c.r.Method) {
		c.w.Header().Set("Allow", "OPTIONS,"+strings.Join(matched.methods, ","))
		return nil, httpError{http.StatusMethodNotAllowed, "method " + c.r.Method + " not allowed"}
	}
	if err := c.checkDatacenter(); err != nil {
		return nil, err
	}
	return matched.handler(c)
}

func (c *call) checkDatacenter() error {
	if len(c.query) == 0 {
		return nil
	}
	for _, name := range []string{"datacenter", "dc"} {
		if dc := c.query.Get(name); dc != "" {
			if dc != c.store.options.Datacenter {
				return errors.New("No path to datacenter")
			}
			return nil
		}
	}
	return nil
}

func findRoute(p string) (*route, string, bool) {
	for i := range routes {
		candidate := &routes[i]
		if rest, ok := strings.CutPrefix(p, candidate.path); ok && (rest == "" || strings.HasSuffix(candidate.path, "/")) {
			return candidate, rest, true
		}
	}
	return nil, "", false
}

func writeNotFound(w http.ResponseWriter, p string) {
	if p == "/" {
		fmt.Fprint(w, "This is a Platypus store: the HTTP API of Consul begins at /v1/.")
		return
	}
	w.WriteHeader(http.StatusNotFound)
	if strings.Contains(p, "/v1/") {
		fmt.Fprintln(w, "Invalid URL path: not a recognized HTTP API endpoint")
	} else {
		fmt.Fprintln(w, "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'")
	}
}

// cleanPath removes empty, "." and ".." segments. As in Consul, other paths are redirected to the result.
func cleanPath(p string) string {
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// redirect sends a client to another escaped path with the same method.
func redirect(w http.ResponseWriter, r *http.Request, target string) {
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, target, http.StatusTemporaryRedirect)
}

func (c *call) writeError(err error) {
	code := http.StatusInternalServerError
	var s httpError
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &s):
		code = s.code
	case errors.As(err, &big):
		code, err = http.StatusRequestEntityTooLarge, fmt.Errorf("Request body too large, max size: %d bytes.", big.Limit)
	}
	c.w.WriteHeader(code)
	_, _ = io.WriteString(c.w, err.Error())
}

// writeJSON sends a JSON response, indented if the request has ?pretty.
func (c *call) writeJSON(code int, value any) {
	var body []byte
	var err error
	list, read := value.(entries)
	switch {
	case c.has("pretty"):
		body, err = json.MarshalIndent(value, "", "    ")
		body = append(body, '\n')
	case read:
		body = list.encodeJSON()
	default:
		body, err = json.Marshal(value)
	}
	if err != nil {
		c.writeError(err)
		return
	}
	c.setHeader("Content-Type", "application/json")
	c.setHeader("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(code)
	_, _ = c.w.Write(body)
}

// setHeader sets a response header. It bypasses http.Header for responseWriter, because allocating that map costs more
// than the rest of most responses.
func (c *call) setHeader(name, value string) {
	if r, ok := c.w.(*responseWriter); ok {
		r.setHeader(name, value)
		return
	}
	c.w.Header()[name] = []string{value}
}

func (c *call) has(name string) bool {
	_, ok := c.query[name]
	return ok
}

// uintParam reads a numeric parameter. Like Consul, an invalid one is answered with 500 and Go's error text.
func (c *call) uintParam(name string) (uint64, error) {
	if !c.has(name) {
		return 0, nil
	}
	return strconv.ParseUint(c.query.Get(name), 10, 64)
}
