package worker

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// reply is an answer that is sent as a whole, by the connection itself.
type reply struct {
	to     net.Conn
	header http.Header
	status int // 0: nobody said
	body   []byte
	sent   bool
	fault  error
}

// Header implements http.ResponseWriter.
func (a *reply) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *reply) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter. What is the whole body, as the header has it, is sent at once and not kept.
func (a *reply) Write(p []byte) (int, error) {
	if a.sent { // a second answer would be taken for that to the next request
		return 0, http.ErrContentLength
	}
	if length := a.header["Content-Length"]; len(a.body) == 0 && len(length) == 1 && length[0] == strconv.Itoa(len(p)) {
		a.send(p)
		return len(p), a.fault
	}
	a.body = append(a.body, p...)
	return len(p), nil
}

// end sends what is not sent yet.
func (a *reply) end() error {
	if !a.sent {
		a.send(a.body)
	}
	return a.fault
}

// small is the largest body that is copied to be sent together with its head, in bytes.
const small = 32 << 10

// heads are where answers are put together.
var heads = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (a *reply) send(body []byte) {
	a.sent = true
	b := heads.Get().(*bytes.Buffer)
	defer heads.Put(b)
	b.Reset()
	a.head(b, &body)
	if len(body) <= small {
		b.Write(body)
		_, a.fault = a.to.Write(b.Bytes())
		return
	}
	_, a.fault = (&net.Buffers{b.Bytes(), body}).WriteTo(a.to)
}

// head writes what stands before a body, and takes the body from a status that has none.
func (a *reply) head(b *bytes.Buffer, body *[]byte) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	line := append(b.AvailableBuffer(), "HTTP/1.1 "...)
	line = strconv.AppendInt(line, int64(a.status), 10)
	line = append(append(append(line, ' '), http.StatusText(a.status)...), "\r\n"...)
	if len(a.header["Date"]) == 0 {
		line = append(time.Now().UTC().AppendFormat(append(line, "Date: "...), http.TimeFormat), "\r\n"...)
	}
	b.Write(line)
	switch {
	case a.status == http.StatusNoContent || a.status == http.StatusNotModified:
		*body = nil
		a.header.Del("Content-Length")
	default:
		a.header["Content-Length"] = []string{strconv.Itoa(len(*body))}
		if len(*body) > 0 && len(a.header["Content-Type"]) == 0 && len(a.header["Content-Encoding"]) == 0 {
			a.header.Set("Content-Type", http.DetectContentType(*body))
		}
	}
	_ = a.header.Write(b)
	b.WriteString("\r\n")
}
