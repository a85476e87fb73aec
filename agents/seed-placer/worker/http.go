package worker

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/intent"
)

// Headers between workers, and of responses to clients.
const (
	headerDeadline = "Platypus-Deadline-Ms" // milliseconds left for the call
	headerChain    = "Platypus-Chain"       // seeds that the call went through
	headerRequest  = "Platypus-Request"     // ID of the external request
	headerHop      = "Platypus-Hop"         // forwarded by another worker; must not be forwarded again
	headerClient   = "Platypus-Client"      // address of the original client
	headerError    = "Platypus-Error"       // error code as a word
	headerLoad     = "Platypus-Load"        // running and waiting calls
)

// defaultCallTimeout limits a call without a deadline.
const defaultCallTimeout = time.Minute

var statuses = map[engine.Code]int{engine.NotFound: 404, engine.Overloaded: 429, engine.Deadline: 504, engine.Denied: 403,
	engine.Cycle: 508, engine.TooLarge: 413, engine.CalleeFailed: 502, engine.Unavailable: 503}

// ServeHTTP answers all requests at the node's address.
func (w *Worker) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	switch {
	case isUpload(r):
		w.upload(rw, r)
	case strings.HasPrefix(path, "/seed/"):
		name, rest, slash := strings.Cut(path[len("/seed/"):], "/")
		if !slash {
			http.Redirect(rw, r, path+"/", http.StatusPermanentRedirect)
			return
		}
		w.serveSeed(rw, r, name, rest)
	case strings.HasPrefix(path, "/call/"):
		name, function, _ := strings.Cut(path[len("/call/"):], "/")
		w.serveCall(rw, r, name, function)
	case strings.HasPrefix(path, "/blob/"):
		w.serveBlob(rw, r, path[len("/blob/"):])
	default:
		w.sites.serve(rw, r)
	}
}

// readCall reads a call from a request.
func readCall(r *http.Request, h *reservation) (*engine.Call, routeScope, error) {
	c := &engine.Call{Deadline: time.Now().Add(defaultCallTimeout)}
	scope := anywhere
	if ms := r.Header[headerDeadline]; len(ms) > 0 { // the constants are in canonical form
		n, err := strconv.ParseInt(ms[0], 10, 32)
		if err != nil || n <= 0 {
			return nil, scope, &engine.Error{Code: engine.Deadline, Text: "the time for the call is over"}
		}
		c.Deadline = time.Now().Add(min(time.Duration(n)*time.Millisecond, time.Hour))
	}
	if chain := r.Header[headerChain]; len(chain) > 0 && chain[0] != "" {
		c.Meta.Chain = strings.Split(chain[0], ",")
		c.Meta.Caller = c.Meta.Chain[len(c.Meta.Chain)-1]
	}
	if request := r.Header[headerRequest]; len(request) > 0 {
		c.Meta.Request = request[0]
	}
	if len(r.Header[headerHop]) > 0 {
		scope = hereOnly
	}
	var err error
	c.Input, err = readBody(r, h)
	return c, scope, err
}

// serveCall serves a plain call: input and output are bodies.
func (w *Worker) serveCall(rw http.ResponseWriter, r *http.Request, name, function string) {
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		http.Error(rw, "a call is a POST", http.StatusMethodNotAllowed)
		return
	}
	h := reservation{byteLimiter: w.inFlight, client: r.RemoteAddr}
	defer h.release()
	var c *engine.Call
	var scope routeScope
	err := w.precheck(r, name)
	if err == nil {
		c, scope, err = readCall(r, &h)
	}
	if err == nil {
		c.Function = function
		err = w.route(r.Context(), name, c, scope)
		putBuffer(c.Input)
	}
	if err == nil {
		err = reserveOutput(&h, c.Output)
	}
	if running := w.loadedSeed(name); running != nil {
		inside, waiting, _ := running.limiter.Counts()
		rw.Header().Set(headerLoad, strconv.Itoa(inside+waiting))
	}
	if err != nil {
		sendError(rw, err)
		return
	}
	sendOutput(rw, c.Output)
}

// sendOutput sends a seed's output, with a type that no browser renders as a page.
func sendOutput(rw http.ResponseWriter, output []byte) {
	h := rw.Header()
	h["Content-Type"] = plainText
	h["X-Content-Type-Options"] = noSniff
	h["Content-Length"] = []string{strconv.Itoa(len(output))}
	_, _ = rw.Write(output)
}

var (
	plainText = []string{"text/plain; charset=utf-8"}
	noSniff   = []string{"nosniff"}
)

// sendError sends an error with its code.
func sendError(rw http.ResponseWriter, err error) {
	if errors.Is(err, errStalled) {
		rw.Header().Set("Connection", "close")
		http.Error(rw, err.Error(), http.StatusRequestTimeout)
		return
	}
	e := engine.AsError(err)
	if e.RetryAfter > 0 {
		rw.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	rw.Header().Set(headerError, e.Code.String())
	rw.Header().Set("Content-Type", "application/json")
	rw.Header()["X-Content-Type-Options"] = noSniff
	rw.WriteHeader(statuses[e.Code])
	_ = json.NewEncoder(rw).Encode(map[string]any{"code": e.Code.String(), "error": e.Text, "retry_after_ms": e.RetryAfter.Milliseconds()})
}

// serveSeed serves an HTTP request to a seed: commands get it by CGI, reactors with an HTTP function in wire format,
// and other functions get the body.
func (w *Worker) serveSeed(rw http.ResponseWriter, r *http.Request, name, rest string) {
	running := w.loadedSeed(name)
	if running == nil {
		w.forward(rw, r, name)
		return
	}
	h := reservation{byteLimiter: w.inFlight, client: r.RemoteAddr}
	defer h.release()
	if err := w.precheck(r, name); err != nil {
		sendError(rw, err)
		return
	}
	c, scope, err := readCall(r, &h)
	if err != nil {
		sendError(rw, err)
		return
	}
	kind := formOf(running)
	switch kind {
	case overWire:
		body := c.Input
		c.Function, c.Input = httpFunction, wireRequest(r, rest, body)
		putBuffer(body)
	case overCGI:
		c.Env = cgiEnv(r, name, rest, len(c.Input))
	default:
		c.Function = strings.TrimSuffix(rest, "/")
	}
	err = w.route(r.Context(), name, c, scope)
	if errors.Is(err, errElsewhere) {
		w.relaySeed(rw, r, name, c)
		return
	}
	putBuffer(c.Input)
	if err == nil {
		err = reserveOutput(&h, c.Output)
	}
	if err != nil {
		sendError(rw, err)
		return
	}
	switch kind {
	case overWire:
		sendWireResponse(rw, r, c.Output)
	case overCGI:
		sendCGI(rw, c.Output)
	default:
		sendOutput(rw, c.Output)
	}
}

// requestForm is the form in which a seed gets an HTTP request.
type requestForm int

const (
	overBody requestForm = iota
	overCGI
	overWire
)

func formOf(r *loadedSeed) requestForm {
	switch {
	case r.ABI == intent.ABIReactor && r.Facts.Offers(httpFunction, entryType):
		return overWire
	case r.ABI == intent.ABICommand && r.Facts.CGI:
		return overCGI
	}
	return overBody
}

// hopByHop are the headers of a single connection, and those that only workers may set.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", headerDeadline, headerChain, headerRequest, headerHop, headerClient}

func isHopByHop(name string) bool {
	name = textproto.CanonicalMIMEHeaderKey(name)
	for _, h := range hopByHop {
		if h == name {
			return true
		}
	}
	return false
}

var errBadAnswer = errors.New("it answered with what is no HTTP")
