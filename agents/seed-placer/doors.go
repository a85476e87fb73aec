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

// doors are the listeners of one worker. They are the agent's, so that they outlive the worker's process.
type doors struct {
	plain   *net.TCPListener // for everybody; nil for none
	nodes   *net.TCPListener // for who has a certificate; nil for none
	address string           // by which other nodes reach the worker
}

// openDoors listens at plain and, if it is not empty, at nodes.
func openDoors(ctx context.Context, plain, nodes string) (d doors, err error) {
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
	// The host as it was given is what certificates name.
	host, _, _ := net.SplitHostPort(nodes)
	_, port, _ := net.SplitHostPort(d.nodes.Addr().String())
	d.address = seal.Scheme + net.JoinHostPort(host, port)
	return d, nil
}

// vacated is how long the worker of an agent that was killed may still hold the address: it ends a moment later.
const vacated = 5 * time.Second

func listen(ctx context.Context, address string) (*net.TCPListener, error) {
	for begin := time.Now(); ; {
		listener, err := net.Listen("tcp", address)
		if err == nil {
			return listener.(*net.TCPListener), nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Since(begin) > vacated || ctx.Err() != nil {
			return nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// beside are doors at a port of their own, for other nodes alone where those have one.
func (d doors) beside() (doors, error) {
	scheme, address := "", d.address
	if d.nodes != nil {
		scheme, address = seal.Scheme, strings.TrimPrefix(d.address, seal.Scheme)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return doors{}, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return doors{}, err
	}
	own := doors{plain: listener.(*net.TCPListener)}
	if d.nodes != nil {
		own = doors{nodes: own.plain}
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	own.address = scheme + net.JoinHostPort(host, port)
	return own, err
}

func (d doors) close() {
	for _, l := range []*net.TCPListener{d.plain, d.nodes} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// opened is what one process gets: listeners, and where it asks for signatures.
type opened struct {
	names     []string
	files     []*os.File
	questions *os.File
	answers   *os.File
}

func (d doors) open() (o *opened, err error) {
	o = &opened{}
	defer func() {
		if err != nil {
			o.close()
			o.hangUp()
		}
	}()
	for _, door := range []struct {
		name string
		at   *net.TCPListener
	}{{wire.Plain, d.plain}, {wire.Nodes, d.nodes}} {
		if door.at == nil {
			continue
		}
		file, err := door.at.File()
		if err != nil {
			return o, err
		}
		o.add(door.name, file)
	}
	if d.nodes == nil {
		return o, nil
	}
	asked, asks, err := os.Pipe()
	if err != nil {
		return o, err
	}
	o.questions = asked
	o.add(wire.Questions, asks)
	hears, answers, err := os.Pipe()
	if err != nil {
		return o, err
	}
	o.answers = answers
	o.add(wire.Answers, hears)
	return o, nil
}

func (o *opened) add(name string, file *os.File) {
	o.names, o.files = append(o.names, name), append(o.files, file)
}

// close closes what the process has of its own by now.
func (o *opened) close() {
	for _, f := range o.files {
		_ = f.Close()
	}
	o.files = nil
}

func (o *opened) hangUp() {
	for _, f := range []*os.File{o.questions, o.answers} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// lend signs for the process until it is gone.
func (o *opened) lend(c *seal.Current) {
	defer o.hangUp()
	if o.questions != nil {
		_ = seal.Lend(c, o.questions, o.answers) // it ends with the process
	}
}
