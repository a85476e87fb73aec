package worker

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// fastResponse is a response that is sent as a whole.
type fastResponse struct {
	conn   net.Conn
	header http.Header
	status int // 0 if not set
	body   []byte
	sent   bool
	err    error
}

// Header implements http.ResponseWriter.
func (resp *fastResponse) Header() http.Header { return resp.header }

// WriteHeader implements http.ResponseWriter.
func (resp *fastResponse) WriteHeader(status int) {
	if resp.status == 0 {
		resp.status = status
	}
}

// Write implements http.ResponseWriter. A body of the full Content-Length is sent at once, without a copy.
func (resp *fastResponse) Write(p []byte) (int, error) {
	if resp.sent { // a client would read it as the response to the next request
		return 0, http.ErrContentLength
	}
	if length := resp.header["Content-Length"]; len(resp.body) == 0 && len(length) == 1 && length[0] == strconv.Itoa(len(p)) {
		resp.send(p)
		return len(p), resp.err
	}
	resp.body = append(resp.body, p...)
	return len(p), nil
}

// finish sends the response unless it was sent.
func (resp *fastResponse) finish() error {
	if !resp.sent {
		resp.send(resp.body)
	}
	return resp.err
}

// maxCopied is the largest body, in bytes, that is copied behind the header to be sent with it.
const maxCopied = 32 << 10

// headBuffers is a pool of buffers for responses.
var headBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (resp *fastResponse) send(body []byte) {
	resp.sent = true
	b := headBuffers.Get().(*bytes.Buffer)
	defer headBuffers.Put(b)
	b.Reset()
	resp.writeHead(b, &body)
	if len(body) <= maxCopied {
		b.Write(body)
		_, resp.err = resp.conn.Write(b.Bytes())
		return
	}
	_, resp.err = (&net.Buffers{b.Bytes(), body}).WriteTo(resp.conn)
}

// writeHead writes the header, and clears the body if the status forbids one.
func (resp *fastResponse) writeHead(b *bytes.Buffer, body *[]byte) {
	if resp.status == 0 {
		resp.status = http.StatusOK
	}
	line := append(b.AvailableBuffer(), "HTTP/1.1 "...)
	line = strconv.AppendInt(line, int64(resp.status), 10)
	line = append(append(append(line, ' '), http.StatusText(resp.status)...), "\r\n"...)
	if len(resp.header["Date"]) == 0 {
		line = append(time.Now().UTC().AppendFormat(append(line, "Date: "...), http.TimeFormat), "\r\n"...)
	}
	b.Write(line)
	switch {
	case resp.status == http.StatusNoContent || resp.status == http.StatusNotModified:
		*body = nil
		resp.header.Del("Content-Length")
	default:
		resp.header["Content-Length"] = []string{strconv.Itoa(len(*body))}
		if len(*body) > 0 && len(resp.header["Content-Type"]) == 0 && len(resp.header["Content-Encoding"]) == 0 {
			resp.header.Set("Content-Type", http.DetectContentType(*body))
		}
	}
	_ = resp.header.Write(b)
	b.WriteString("\r\n")
}
