package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// socketWait is how long a verb waits for the node's agent to come up: it may have been started the moment before.
const socketWait = 5 * time.Second

// uploadFlags say where blobs are put.
func uploadFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "socket", Usage: "`PATH` of the socket of this node's seed-placer", EnvVars: []string{"PLATYPUS_SEED_SOCKET"}, Value: seedSocket()},
		&cli.StringFlag{Name: "to", Usage: "put on the node at this `URL`, https://HOST:PORT of its --serve-tls, instead of this one", EnvVars: []string{"PLATYPUS_TO"}},
	}, tlsFlags()...)
}

// seedSocket is where seed-placer listens unless told otherwise.
func seedSocket() string {
	const below = "platypus/seed-placer/seeds.sock"
	if os.Geteuid() == 0 {
		return "/var/lib/" + below
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, below)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local/state", below)
}

// kept is what a node says of a blob that it has taken, or has so far.
type kept struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Node   string `json:"node"`
	Have   int64  `json:"have"`
}

// door is where blobs are put.
type door struct {
	nodes  *nodes
	base   string
	name   string // for people
	socket string
}

// door is the node that --to names, or the socket of this one.
func (sh *shell) door() (*door, error) {
	to := strings.TrimSuffix(sh.flags.String("to"), "/")
	if to == "" {
		path := sh.flags.String("socket")
		return &door{base: "http://node", name: "this node", socket: path, nodes: &nodes{client: &http.Client{Transport: &http.Transport{
			WriteBufferSize: 64 << 10, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			}}}}}, nil
	}
	n, err := sh.nodes()
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(to, sealedScheme) {
		return nil, usage("--to %s: blobs are put at a node's socket or over https:// with a certificate, and nowhere else", to)
	}
	if _, err := n.url(to, ""); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return &door{nodes: n, base: to, name: to}, nil
}

// absent reports whether nobody is behind the socket.
func (d *door) absent(err error) error {
	var dial *net.OpError
	if d.socket != "" && errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("publish on this node: no seed-placer listens at %s: start one, or name its socket with --socket: %w", d.socket, err)
	}
	return nil
}

// opener opens the content of a blob, anew for each try.
type opener func() (io.ReadSeekCloser, error)

func inMemory(data []byte) opener {
	return func() (io.ReadSeekCloser, error) { return unclosed{bytes.NewReader(data)}, nil }
}

type unclosed struct{ *bytes.Reader }

// Close implements io.Closer.
func (unclosed) Close() error { return nil }

// putBlob gives a blob to a node's agent. What was sent stays when the link is cut, and the rest follows.
func (sh *shell) putBlob(ctx context.Context, open opener) (k kept, err error) {
	content, err := open()
	if err != nil {
		return k, err
	}
	defer content.Close()
	u := &upload{content: content}
	if u.digest, u.size, err = hashOf(content); err != nil || sh.dry() {
		return kept{SHA256: u.digest, Size: u.size}, err
	}
	d, err := sh.door()
	if err != nil {
		return k, err
	}
	defer d.nodes.client.CloseIdleConnections()
	u.door = d
	k, err = u.run(ctx)
	if err != nil && d.absent(err) == nil {
		err = fmt.Errorf("publish on %s: %w", d.name, err)
	}
	return k, err
}
