package worker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/intent"
)

// Fetch implements engine.Host: a seed makes an HTTP request. Both the origin and the address that is dialled must be
// allowed. The name is resolved once, here, so that it cannot change between check and use.
func (w *Worker) Fetch(ctx context.Context, from *engine.Call, raw []byte) ([]byte, error) {
	caller := from.Meta.Chain[len(from.Meta.Chain)-1]
	r := w.loadedSeed(caller)
	if r == nil {
		return nil, &engine.Error{Code: engine.Denied, Text: "the seed is being taken away"}
	}
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, &engine.Error{Code: engine.Denied, Text: "the request is no HTTP: " + err.Error()}
	}
	request = request.WithContext(ctx)
	request.RequestURI = ""
	var answer []byte
	w.Idle(func() { answer, err = fetch(request, r.spec.Seed.Grants) })
	if err != nil {
		e := engine.AsError(err)
		w.log.write(caller, engine.Warn, fmt.Sprintf("fetch %s://%s: %v", request.URL.Scheme, request.URL.Host, e.Text))
		return nil, e
	}
	return answer, nil
}

// fetch makes one request. It returns redirects as responses: a seed that follows one makes a new request, which is
// checked again.
func fetch(request *http.Request, grants intent.Grants) ([]byte, error) {
	u := request.URL
	port := map[string]int{"http": 80, "https": 443}[u.Scheme]
	if p := u.Port(); p != "" {
		port, _ = strconv.Atoi(p)
	}
	if u.Hostname() == "" || u.User != nil || !grants.MayFetch(u.Scheme, u.Hostname(), port) {
		return nil, &engine.Error{Code: engine.Denied, Text: fmt.Sprintf("%s://%s is not in \"egress\"", u.Scheme, u.Host)}
	}
	transport := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, network, address, grants)
		}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, asFetchError(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, engine.MaxOutput+1))
	if err != nil {
		return nil, asFetchError(err)
	}
	if len(body) > engine.MaxOutput {
		return nil, &engine.Error{Code: engine.TooLarge, Text: fmt.Sprintf("response of more than %d bytes", engine.MaxOutput)}
	}
	response.Body, response.ContentLength, response.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	var out bytes.Buffer
	if err := response.Write(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// dial resolves a name and connects to its first allowed address.
func dial(ctx context.Context, network, address string, grants intent.Grants) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var refused []string
	for _, a := range addresses {
		if !grants.MayDial(a) {
			refused = append(refused, a.Unmap().String())
			continue
		}
		conn, dialErr := (&net.Dialer{}).DialContext(ctx, network, netip.AddrPortFrom(a.Unmap(), portOf(port)).String())
		if dialErr == nil {
			return conn, nil
		}
		err = dialErr
	}
	if len(refused) == len(addresses) {
		return nil, &engine.Error{Code: engine.Denied, Text: fmt.Sprintf("%s is at %s, which is no public address: list its network in \"egress\"", host, strings.Join(refused, ", "))}
	}
	return nil, err
}

func portOf(text string) uint16 {
	n, _ := strconv.ParseUint(text, 10, 16)
	return uint16(n)
}

// asFetchError converts a network error to an engine error.
func asFetchError(err error) error {
	if e := engine.AsError(err); e.Code != engine.CalleeFailed {
		return e
	}
	return &engine.Error{Code: engine.Unavailable, Text: err.Error()}
}
