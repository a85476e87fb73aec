package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/blob"
)

// Bounds of a fetch.
const (
	maxBlob      = 1 << 40          // bytes
	stallTimeout = 30 * time.Second // longest time without a byte
	maxFetches   = 4                // concurrent
)

// fetch copies a blob to this node: from any node that holds it, or for a seed from the URL in its intent.
func (p *placer) fetch(ctx context.Context, s Step) error {
	if p.blobs.Has(s.Digest) { // several seeds and sites may need the same blob
		return nil
	}
	var errs []error
	for _, from := range p.sources(s) {
		err := p.blobs.Fetch(ctx, s.Digest, p.maxSize(s.Digest), p.fetches.limit(from.open))
		if err == nil {
			p.wake()
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", from.name, err))
	}
	if len(errs) == 0 {
		return fmt.Errorf("nobody holds sha256:%s: publish it again (platypus seed, platypus site or platypus blob put)", s.Digest)
	}
	return errors.Join(errs...)
}

// slots limit the concurrent fetches.
type slots chan struct{}

// limit makes a source wait for a slot, which it holds until its body is closed. A fetch that only waits for the same
// fetch in progress takes none.
func (s slots) limit(open blob.Source) blob.Source {
	return func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		select {
		case s <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		body, err := open(ctx, offset)
		if err != nil {
			<-s
			return nil, err
		}
		return &slotBody{body, s}, nil
	}
}

// slotBody releases its slot when it is closed.
type slotBody struct {
	io.ReadCloser
	slots slots
}

// Close implements io.Closer.
func (s *slotBody) Close() error {
	<-s.slots
	return s.ReadCloser.Close()
}

// maxSize returns the declared size of a blob, or maxBlob, so that a malicious holder cannot fill the disk.
func (p *placer) maxSize(digest string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if size := p.desired.Blobs[digest].Size; size > 0 {
		return int64(size)
	}
	return maxBlob
}

// namedSource is a possible source of a blob, with a name for errors.
type namedSource struct {
	name string
	open blob.Source
}

func (p *placer) sources(s Step) (from []namedSource) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, node := range p.desired.Holders[s.Digest] {
		if host, live := p.desired.Hosts[node]; live && node != string(p.agent.Node) {
			from = append(from, namedSource{node, p.tls.fromNode(node, host.Address, s.Digest)})
		}
	}
	for _, w := range p.desired.Seeds {
		if w.Name != s.About || w.Seed.Digest() != s.Digest {
			continue
		}
		if u, err := url.Parse(w.Seed.Source); err == nil && u.Scheme == "file" {
			from = append(from, namedSource{w.Seed.Source, fromFile(u.Path)})
		} else if strings.HasPrefix(w.Seed.Source, "https://") {
			from = append(from, namedSource{w.Seed.Source, fromHTTP(externalClient, w.Seed.Source)})
		}
	}
	return from
}

func fromFile(path string) blob.Source {
	return func(_ context.Context, offset int64) (io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if at, err := f.Stat(); err != nil || !at.Mode().IsRegular() {
			f.Close()
			return nil, errors.Join(err, fmt.Errorf("%s is not a plain file", path))
		}
		_, err = f.Seek(offset, io.SeekStart)
		return f, err
	}
}

// externalClient is the HTTP client for URLs in intents.
var externalClient = &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	ResponseHeaderTimeout: stallTimeout, DisableCompression: true, Proxy: http.ProxyFromEnvironment}}

// fromNode fetches a blob from another node.
func (p *nodeTLS) fromNode(node, address, digest string) blob.Source {
	return func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		public, client := p.public(), p.client.Load()
		target, err := public.URL(node, address, "/blob/"+digest)
		if err != nil {
			return nil, err
		}
		body, err := fromHTTP(client, target)(ctx, offset)
		if fault := public.Explain(err, node, address); fault != nil {
			return nil, fault
		}
		return body, err
	}
}

// fromHTTP requests the missing part of a blob. If the server sends all of it, the known part is skipped.
func fromHTTP(client *http.Client, address string) blob.Source {
	return func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		ctx, cancel := context.WithCancel(ctx)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			cancel()
			return nil, err
		}
		if offset > 0 {
			request.Header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
		}
		response, err := client.Do(request)
		if err != nil {
			cancel()
			return nil, err
		}
		body := &stallBody{ReadCloser: response.Body, cancel: cancel}
		body.timer = time.AfterFunc(stallTimeout, cancel)
		switch {
		case response.StatusCode == http.StatusPartialContent && offset > 0:
			return body, nil
		case response.StatusCode == http.StatusOK:
			_, err := io.CopyN(io.Discard, body, offset)
			if err == nil {
				return body, nil
			}
			body.Close()
			if errors.Is(err, io.EOF) {
				err = blob.ErrOffset
			}
			return nil, err
		}
		body.Close()
		if response.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			return nil, blob.ErrOffset
		}
		return nil, fmt.Errorf("it answers %s", response.Status)
	}
}

// stallBody cancels the request when its body stalls.
type stallBody struct {
	io.ReadCloser
	timer  *time.Timer
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (w *stallBody) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.timer.Reset(stallTimeout)
	}
	return n, err
}

// Close implements io.Closer.
func (w *stallBody) Close() error {
	w.timer.Stop()
	w.cancel()
	return w.ReadCloser.Close()
}
