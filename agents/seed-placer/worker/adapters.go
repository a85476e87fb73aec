package worker

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/agents/seed-placer/engine"
	"github.com/platypus-platform/platypus/intent/wasm"
)

const (
	httpFunction = wasm.HTTP
	entryType    = wasm.Entry
)

// wireRequest encodes a request in HTTP/1.1 format, with a path relative to the seed.
func wireRequest(r *http.Request, rest string, body []byte) []byte {
	b := bytes.NewBuffer(make([]byte, 0, 512+len(body)))
	uri := "/" + escapedPath(r, rest)
	if r.URL.RawQuery != "" {
		uri += "?" + r.URL.RawQuery
	}
	fmt.Fprintf(b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, uri, r.Host)
	for name, values := range r.Header {
		if isHopByHop(name) || name == "Content-Length" || name == "X-Forwarded-For" {
			continue
		}
		for _, v := range values {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	b.WriteString("X-Forwarded-For: " + clientAddress(r) + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	b.Write(body)
	return b.Bytes()
}

// escapedPath returns rest with the escapes of the original request.
func escapedPath(r *http.Request, rest string) string {
	if r.URL.RawPath == "" {
		return rest
	}
	parts := strings.SplitN(r.URL.RawPath, "/", 4) // "", "seed", name, rest
	return parts[len(parts)-1]
}

// clientAddress returns the address of the client, also for a request that another worker forwarded.
func clientAddress(r *http.Request) string {
	if from := r.Header[headerClient]; len(from) > 0 && len(r.Header[headerHop]) > 0 {
		return from[0]
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// sendWireResponse sends the HTTP response that a reactor wrote.
func sendWireResponse(rw http.ResponseWriter, r *http.Request, output []byte) {
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(output)), r)
	if err != nil || response.StatusCode < 200 {
		sendError(rw, &engine.Error{Code: engine.CalleeFailed, Text: errBadAnswer.Error()})
		return
	}
	defer response.Body.Close()
	copyHeader(rw.Header(), response.Header)
	rw.WriteHeader(response.StatusCode)
	_, _ = io.Copy(rw, response.Body)
}

func copyHeader(to, from http.Header) {
	for name, values := range from {
		if !isHopByHop(name) {
			to[name] = values
		}
	}
}

// cgiEnv returns the CGI environment of a command, as RFC 3875 defines it.
func cgiEnv(r *http.Request, name, rest string, size int) []string {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "80"
	}
	env := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=platypus", "SERVER_PROTOCOL=HTTP/1.1", "SERVER_NAME=" + host, "SERVER_PORT=" + port,
		"REQUEST_METHOD=" + r.Method, "REQUEST_URI=" + r.URL.RequestURI(), "QUERY_STRING=" + r.URL.RawQuery, "HTTP_HOST=" + r.Host,
		"SCRIPT_NAME=/seed/" + name, "PATH_INFO=/" + rest, "REMOTE_ADDR=" + clientAddress(r), "REMOTE_HOST=" + clientAddress(r),
		"CONTENT_LENGTH=" + strconv.Itoa(size),
	}
	if kind := r.Header.Get("Content-Type"); kind != "" {
		env = append(env, "CONTENT_TYPE="+kind)
	}
	for name, values := range r.Header {
		if isHopByHop(name) || name == "Proxy" || name == "Content-Type" || name == "Content-Length" {
			continue // HTTP_PROXY would be read as a proxy setting
		}
		env = append(env, "HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+strings.Join(values, ", "))
	}
	for i, v := range env {
		env[i] = strings.ReplaceAll(v, "\x00", "")
	}
	return env
}

// sendCGI sends a command's CGI response: a header with at least a Content-Type, a Status or a Location, then the
// body.
func sendCGI(rw http.ResponseWriter, output []byte) {
	in := bufio.NewReader(bytes.NewReader(output))
	head, err := textproto.NewReader(in).ReadMIMEHeader()
	status := http.StatusOK
	if s := head.Get("Status"); s != "" && err == nil {
		code, _, _ := strings.Cut(s, " ")
		if status, err = strconv.Atoi(code); err == nil && (status < 200 || status > 599) {
			err = errBadAnswer
		}
	} else if head.Get("Location") != "" {
		status = http.StatusFound
	}
	if err != nil || head.Get("Status") == "" && head.Get("Content-Type") == "" && head.Get("Location") == "" {
		sendError(rw, &engine.Error{Code: engine.CalleeFailed, Text: errBadAnswer.Error()})
		return
	}
	head.Del("Status")
	copyHeader(rw.Header(), http.Header(head))
	rw.WriteHeader(status)
	_, _ = io.Copy(rw, in)
}
