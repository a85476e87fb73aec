package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/connlimit"
)

// maxSocketConns limits the concurrent connections of the socket.
const maxSocketConns = 256

// serveSocket accepts uploads at a unix socket. Access to the socket is permission to publish on this node. The only
// other publishers are clients with a certificate, whose uploads a worker forwards here.
//
//	PUT  /blob           stores the body, answers {"sha256":…,"size":…}
//	PUT  /blob/<digest>  stores a part of a blob, see putPart
//	GET  /blob/<digest>  returns a blob
func (p *placer) serveSocket(ctx context.Context, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("listen for blobs: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("listen for blobs: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen for blobs: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("listen for blobs: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /blob", p.putBlob)
	mux.HandleFunc("PUT /blob/{digest}", (&uploads{placer: p, active: map[string]*upload{}}).putPart)
	mux.HandleFunc("GET /blob/{digest}", p.getBlob)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	limits := connlimit.Limits{Total: maxSocketConns, PerClient: maxSocketConns, Stall: stallTimeout}
	go func() { _ = server.Serve(connlimit.New(listener, limits)) }()
	go func() {
		sweep := time.NewTicker(time.Hour)
		defer sweep.Stop()
		for ctx.Err() == nil {
			if err := p.blobs.Sweep(partialUploadTTL); err != nil {
				p.agent.Log.Warn("", err.Error())
			}
			select {
			case <-sweep.C:
			case <-ctx.Done():
			}
		}
		_ = server.Close()
	}()
	return nil
}

func (p *placer) putBlob(w http.ResponseWriter, r *http.Request) {
	digest, size, err := p.blobs.Put(http.MaxBytesReader(w, newStallReader(w, r), maxBlob))
	if err != nil {
		http.Error(w, err.Error(), uploadErrorStatus(err))
		return
	}
	p.answerStored(w, digest, size)
}

// answerStored answers that a blob is stored here.
func (p *placer) answerStored(w http.ResponseWriter, digest string, size int64) {
	p.wake()
	answerJSON(w, http.StatusOK, map[string]any{"sha256": digest, "size": size, "node": p.agent.Node})
}

func answerJSON(w http.ResponseWriter, status int, content map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(content)
}

func (p *placer) getBlob(w http.ResponseWriter, r *http.Request) {
	content, err := p.blobs.Open(strings.TrimPrefix(r.PathValue("digest"), "sha256:"))
	if err != nil {
		http.Error(w, "this node does not hold the blob", http.StatusNotFound)
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, content)
}
