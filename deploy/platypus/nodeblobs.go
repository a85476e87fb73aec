package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"
)

// socketWait is how long a verb waits for the node's agent to come up: it may have been started the moment before.
const socketWait = 5 * time.Second

func socketFlag() cli.Flag {
	return &cli.StringFlag{Name: "socket", Usage: "`PATH` of the socket of this node's seed-placer", EnvVars: []string{"PLATYPUS_SEED_SOCKET"}, Value: seedSocket()}
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

// kept is what a node says of a blob that it has taken.
type kept struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Node   string `json:"node"`
}

// digestOf is what a node would say of a blob that it had taken.
func digestOf(open func() (io.ReadCloser, error)) (k kept, err error) {
	body, err := open()
	if err != nil {
		return k, err
	}
	defer body.Close()
	sum := sha256.New()
	k.Size, err = io.Copy(sum, body)
	k.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return k, err
}

// putBlob gives a blob to the node's agent. open is called anew for each try.
func (sh *shell) putBlob(ctx context.Context, open func() (io.ReadCloser, error)) (k kept, err error) {
	if sh.dry() {
		return digestOf(open)
	}
	path := sh.flags.String("socket")
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	for begin := time.Now(); ; {
		body, err := open()
		if err != nil {
			return k, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://node/blob", body)
		if err != nil {
			return k, err
		}
		response, err := client.Do(request)
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			if time.Since(begin) < socketWait && ctx.Err() == nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			return k, fmt.Errorf("publish on this node: no seed-placer listens at %s: start one, or name its socket with --socket: %w", path, err)
		}
		if err != nil {
			return k, fmt.Errorf("publish on this node: %w", err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			said, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
			return k, fmt.Errorf("publish on this node: %s: %s", response.Status, said)
		}
		return k, json.NewDecoder(response.Body).Decode(&k)
	}
}
