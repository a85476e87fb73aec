package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/seal"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// listeners belong to one worker. The agent keeps them open so that they outlive the worker's process.
type listeners struct {
	plain   *net.TCPListener // without TLS, for anybody; nil for none
	nodes   *net.TCPListener // for clients with a certificate; nil for none
	address string           // at which other nodes reach the worker
}

// openListeners listens at plain and, unless it is empty, at nodes.
func openListeners(ctx context.Context, plain, nodes string) (d listeners, err error) {
	if d.plain, err = listen(ctx, plain); err != nil {
		return d, fmt.Errorf("serve at %s: %w", plain, err)
	}
	d.address = d.plain.Addr().String()
	if nodes == "" {
		return d, nil
	}
	if d.nodes, err = listen(ctx, nodes); err != nil {
		return d, fmt.Errorf("serve other nodes at %s: %w", nodes, err)
	}
	// Certificates name the host exactly as it was given.
	host, _, _ := net.SplitHostPort(nodes)
	_, port, _ := net.SplitHostPort(d.nodes.Addr().String())
	d.address = seal.TLSScheme + net.JoinHostPort(host, port)
	return d, nil
}

// bindTimeout is how long to retry: the worker of an agent that was killed may still hold the address for a moment.
const bindTimeout = 5 * time.Second

func listen(ctx context.Context, address string) (*net.TCPListener, error) {
	for begin := time.Now(); ; {
		listener, err := net.Listen("tcp", address)
		if err == nil {
			return listener.(*net.TCPListener), nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Since(begin) > bindTimeout || ctx.Err() != nil {
			return nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// ephemeral opens listeners at a port of their own, for TLS only if the node has a TLS listener.
func (d listeners) ephemeral() (listeners, error) {
	scheme, address := "", d.address
	if d.nodes != nil {
		scheme, address = seal.TLSScheme, strings.TrimPrefix(d.address, seal.TLSScheme)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return listeners{}, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return listeners{}, err
	}
	own := listeners{plain: listener.(*net.TCPListener)}
	if d.nodes != nil {
		own = listeners{nodes: own.plain}
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	own.address = scheme + net.JoinHostPort(host, port)
	return own, err
}

func (d listeners) close() {
	for _, l := range []*net.TCPListener{d.plain, d.nodes} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// inherited is what one process gets: its listeners and the pipes to the signer.
type inherited struct {
	names        []string
	files        []*os.File
	signRequests *os.File
	signReplies  *os.File
}

func (d listeners) inherit() (o *inherited, err error) {
	o = &inherited{}
	defer func() {
		if err != nil {
			o.close()
			o.closePipes()
		}
	}()
	for _, socket := range []struct {
		name     string
		listener *net.TCPListener
	}{{wire.PlainListener, d.plain}, {wire.TLSListener, d.nodes}} {
		if socket.listener == nil {
			continue
		}
		file, err := socket.listener.File()
		if err != nil {
			return o, err
		}
		o.add(socket.name, file)
	}
	if d.nodes == nil {
		return o, nil
	}
	requestsIn, requestsOut, err := os.Pipe()
	if err != nil {
		return o, err
	}
	o.signRequests = requestsIn
	o.add(wire.SignRequests, requestsOut)
	repliesIn, repliesOut, err := os.Pipe()
	if err != nil {
		return o, err
	}
	o.signReplies = repliesOut
	o.add(wire.SignReplies, repliesIn)
	return o, nil
}

func (o *inherited) add(name string, file *os.File) {
	o.names, o.files = append(o.names, name), append(o.files, file)
}

// close closes the agent's copies of the files that the process has inherited.
func (o *inherited) close() {
	for _, f := range o.files {
		_ = f.Close()
	}
	o.files = nil
}

func (o *inherited) closePipes() {
	for _, f := range []*os.File{o.signRequests, o.signReplies} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// serveSigner answers signing requests until the process has ended.
func (o *inherited) serveSigner(c *seal.Reloader) {
	defer o.closePipes()
	if o.signRequests != nil {
		_ = seal.ServeSigner(c, o.signRequests, o.signReplies) // it returns when the process ends
	}
}
