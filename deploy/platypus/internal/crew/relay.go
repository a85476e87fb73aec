package crew

import (
	"context"
	"io"
	"net"
)

// Relay forwards every connection on listener to a TCP address until ctx ends. A Unix socket reaches into network
// namespaces that the address does not.
func Relay(ctx context.Context, listener net.Listener, address string) {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		go pass(ctx, near, address)
	}
}

func pass(ctx context.Context, near net.Conn, address string) {
	defer near.Close()
	far, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(far, near)
		far.Close() // the client has gone: nobody waits for the answer
	}()
	_, _ = io.Copy(near, far)
}
