// Command hello is a small web app to deploy: it answers with its version and says on /healthz whether it is well.
// It is packed as bin/launch of an artifact by scripts/pack.sh.
//
// It listens on 127.0.0.1 at the "port" of its user_config (8080 without one). A file "broken" beside it makes it unwell.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	here, err := os.Executable()
	if err != nil {
		panic(err)
	}
	config := struct{ Port int }{Port: 8080}
	if data, err := os.ReadFile(os.Getenv("PLATYPUS_CONFIG")); err == nil {
		if err := json.Unmarshal(data, &config); err != nil {
			fmt.Fprintln(os.Stderr, "read user_config:", err)
			os.Exit(1)
		}
	}
	_, notBroken := os.Stat(filepath.Join(filepath.Dir(here), "broken"))
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if notBroken == nil {
			http.Error(w, "this release is broken", http.StatusInternalServerError)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from version %s\n", os.Getenv("PLATYPUS_VERSION"))
	})
	server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", config.Port)}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(drain)
	})
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
