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

// The headers that one worker sends another, and a client gets back.
const (
	headerDeadline = "Platypus-Deadline-Ms" // what is left of the time for the call
	headerChain    = "Platypus-Chain"       // the seeds that the call went through
	headerRequest  = "Platypus-Request"     // identifies the call that came from outside
	headerHop      = "Platypus-Hop"         // it comes from another worker, and shall not be sent on
	headerClient   = "Platypus-Client"      // the address of the client that the other worker answers
	headerError    = "Platypus-Error"       // the code of an error, in a word
	headerLoad     = "Platypus-Load"        // calls that are inside or wait
)

// defaultCallTimeout is how long a call may take when nobody says otherwise.
const defaultCallTimeout = time.Minute

var statuses = map[engine.Code]int{engine.NotFound: 404, engine.Overloaded: 429, engine.Deadline: 504, engine.Denied: 403,
	engine.Cycle: 508, engine.TooLarge: 413, engine.CalleeFailed: 502, engine.Unavailable: 503}

// ServeHTTP answers everything that arrives at the node's address.
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

// readCall reads a call off a request.
func readCall(r *http.Request, h *reservation) (*engine.Call, routeScope, error) {
	c := &engine.Call{Deadline: time.Now().Add(defaultCallTimeout)}
	scope := anywhere
	if ms := r.Header[headerDeadline]; len(ms) > 0 { // the names are as net/http writes them
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

// serveCall is a plain call: input and output are bodies.
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

// sendOutput sends what a seed said, as what cannot be taken for a page.
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

// sendError tells of an error, with its code for programs.
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

// serveSeed is an HTTP request to a seed: by CGI to a command, on the wire to a reactor that takes it so, and otherwise
// the body to the function that the path names.
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

// requestForm is how an HTTP request reaches a seed.
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

// hopByHop are the headers that concern one connection alone, and those that are the worker's own to say.
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
