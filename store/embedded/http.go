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

// call is one HTTP request on its way through an endpoint.
type call struct {
	store *Store
	w     http.ResponseWriter
	r     *http.Request
	query url.Values
	rest  string // what follows the endpoint's path
}

// endpoint answers with a value to send as JSON, or with nil when it has answered itself.
type endpoint func(*call) (any, error)

type route struct {
	path    string // ends in "/" when something may follow
	methods []string
	answer  endpoint
}

// status is an error with the HTTP status it is answered with; any other error is a 500.
type status struct {
	code int
	text string
}

func (e status) Error() string { return e.text }

func badRequest(format string, values ...any) error {
	return status{http.StatusBadRequest, fmt.Sprintf(format, values...)}
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

// Handler returns Consul's HTTP API on this store. Blocking queries end with the store or with their request.
func (s *Store) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Store) serve(w http.ResponseWriter, r *http.Request) {
	if strings.ContainsFunc(r.URL.Path, func(c rune) bool { return !unicode.IsPrint(c) }) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	to, rest, found := find(r.URL.Path)
	if escaped := r.URL.EscapedPath(); cleanPath(escaped) != escaped {
		redirect(w, r, cleanPath(escaped))
		return
	}
	if !found {
		if _, _, found = find(r.URL.Path + "/"); found {
			redirect(w, r, r.URL.EscapedPath()+"/")
			return
		}
		notThere(w, r.URL.Path)
		return
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", "OPTIONS,"+strings.Join(to.methods, ","))
		return
	}
	c := &call{store: s, w: w, r: r, rest: rest}
	value, err := c.dispatch(to)
	if err != nil {
		c.fail(err)
		return
	}
	if value != nil {
		c.send(http.StatusOK, value)
	}
}

func (c *call) dispatch(to *route) (any, error) {
	var err error
	if raw := c.r.URL.RawQuery; raw != "" {
		if c.query, err = url.ParseQuery(raw); err != nil {
			return nil, status{http.StatusInternalServerError, ""}
		}
	}
	if !slices.Contains(to.methods, c.r.Method) {
		c.w.Header().Set("Allow", "OPTIONS,"+strings.Join(to.methods, ","))
		return nil, status{http.StatusMethodNotAllowed, "method " + c.r.Method + " not allowed"}
	}
	if err := c.checkDatacenter(); err != nil {
		return nil, err
	}
	return to.answer(c)
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

func find(p string) (*route, string, bool) {
	for i := range routes {
		to := &routes[i]
		if rest, ok := strings.CutPrefix(p, to.path); ok && (rest == "" || strings.HasSuffix(to.path, "/")) {
			return to, rest, true
		}
	}
	return nil, "", false
}

func notThere(w http.ResponseWriter, p string) {
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

// cleanPath is the path without empty, "." and ".." segments. Consul sends its clients there.
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

// redirect sends a client to another path, given as it stands in a URL, with the same method.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, to, http.StatusTemporaryRedirect)
}

func (c *call) fail(err error) {
	code := http.StatusInternalServerError
	var s status
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

// send answers with JSON, indented for people who ask for pretty.
func (c *call) send(code int, value any) {
	var body []byte
	var err error
	list, read := value.(entries)
	switch {
	case c.has("pretty"):
		body, err = json.MarshalIndent(value, "", "    ")
		body = append(body, '\n')
	case read:
		body = list.json()
	default:
		body, err = json.Marshal(value)
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.set("Content-Type", "application/json")
	c.set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(code)
	_, _ = c.w.Write(body)
}

// set sets a header of the answer. The front takes it as it is; a map of lists, as net/http has it, costs more than the
// rest of most answers.
func (c *call) set(name, value string) {
	if r, ok := c.w.(*reply); ok {
		r.set(name, value)
		return
	}
	c.w.Header()[name] = []string{value}
}

func (c *call) has(name string) bool {
	_, ok := c.query[name]
	return ok
}

// number reads a parameter as a number; Consul answers a bad one with 500 and Go's own words.
func (c *call) number(name string) (uint64, error) {
	if !c.has(name) {
		return 0, nil
	}
	return strconv.ParseUint(c.query.Get(name), 10, 64)
}
