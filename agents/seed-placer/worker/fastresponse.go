package worker

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// fastResponse is an answer that is sent as a whole, by the connection itself.
type fastResponse struct {
	conn   net.Conn
	header http.Header
	status int // 0: nobody said
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

// Write implements http.ResponseWriter. What is the whole body, as the header has it, is sent at once and not kept.
func (resp *fastResponse) Write(p []byte) (int, error) {
	if resp.sent { // a second answer would be taken for that to the next request
		return 0, http.ErrContentLength
	}
	if length := resp.header["Content-Length"]; len(resp.body) == 0 && len(length) == 1 && length[0] == strconv.Itoa(len(p)) {
		resp.send(p)
		return len(p), resp.err
	}
	resp.body = append(resp.body, p...)
	return len(p), nil
}

// finish sends what is not sent yet.
func (resp *fastResponse) finish() error {
	if !resp.sent {
		resp.send(resp.body)
	}
	return resp.err
}

// maxCopied is the largest body that is copied to be sent together with its head, in bytes.
const maxCopied = 32 << 10

// headBuffers are where answers are put together.
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

// writeHead writes what stands before a body, and takes the body from a status that has none.
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
