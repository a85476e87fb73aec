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

// socketWait is how long a verb waits for the node's agent, which may just have been started.
const socketWait = 5 * time.Second

// uploadFlags select where blobs are put.
func uploadFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "socket", Usage: "`PATH` of the socket of this node's seed-placer", EnvVars: []string{"PLATYPUS_SEED_SOCKET"}, Value: seedSocket()},
		&cli.StringFlag{Name: "to", Usage: "put on the node at this `URL`, https://HOST:PORT of its --serve-tls, instead of this one", EnvVars: []string{"PLATYPUS_TO"}},
	}, tlsFlags()...)
}

// seedSocket returns the default socket of seed-placer.
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

// blobReply is the reply of a node about a blob: complete, or the bytes that it has so far.
type blobReply struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Node   string `json:"node"`
	Have   int64  `json:"have"`
}

// blobTarget is the node that receives blobs.
type blobTarget struct {
	client *nodeClient
	base   string
	name   string // for people
	socket string
}

// blobTarget returns the node that --to names, or the local socket.
func (cmd *command) blobTarget() (*blobTarget, error) {
	to := strings.TrimSuffix(cmd.flags.String("to"), "/")
	if to == "" {
		path := cmd.flags.String("socket")
		return &blobTarget{base: "http://node", name: "this node", socket: path, client: &nodeClient{client: &http.Client{Transport: &http.Transport{
			WriteBufferSize: 64 << 10, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			}}}}}, nil
	}
	n, err := cmd.newNodeClient()
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(to, tlsScheme) {
		return nil, usage("--to %s: blobs are put at a node's socket or over https:// with a certificate, and nowhere else", to)
	}
	if _, err := n.url(to, ""); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return &blobTarget{client: n, base: to, name: to}, nil
}

// notListening returns an error if nothing listens on the socket.
func (d *blobTarget) notListening(err error) error {
	var dial *net.OpError
	if d.socket != "" && errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("publish on this node: no seed-placer listens at %s: start one, or name its socket with --socket: %w", d.socket, err)
	}
	return nil
}

// openFunc opens the content of a blob; it is called once for each attempt.
type openFunc func() (io.ReadSeekCloser, error)

func inMemory(data []byte) openFunc {
	return func() (io.ReadSeekCloser, error) { return nopCloser{bytes.NewReader(data)}, nil }
}

type nopCloser struct{ *bytes.Reader }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }

// putBlob uploads a blob to a node's agent. An interrupted upload resumes.
func (cmd *command) putBlob(ctx context.Context, open openFunc) (k blobReply, err error) {
	content, err := open()
	if err != nil {
		return k, err
	}
	defer content.Close()
	u := &upload{content: content}
	if u.digest, u.size, err = hashOf(content); err != nil || cmd.isDryRun() {
		return blobReply{SHA256: u.digest, Size: u.size}, err
	}
	d, err := cmd.blobTarget()
	if err != nil {
		return k, err
	}
	defer d.client.client.CloseIdleConnections()
	u.target = d
	k, err = u.run(ctx)
	if err != nil && d.notListening(err) == nil {
		err = fmt.Errorf("publish on %s: %w", d.name, err)
	}
	return k, err
}
