// Command web is an http.Handler as a warm seed.
package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/platypus-platform/platypus/agents/guest/web"
)

func main() {}

var mux = routes()

func routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Host", r.Host)
		w.WriteHeader(http.StatusCreated)
		io.Copy(w, r.Body)
	})
	return mux
}

//go:wasmexport http
func answer() int32 { return web.Serve(mux) }

// fetched asks the address that it is given.
//
//go:wasmexport fetched
func fetched() int32 { return web.Serve(http.HandlerFunc(ask)) }

func ask(w http.ResponseWriter, r *http.Request) {
	response, err := web.Client().Get(r.URL.Query().Get("url"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	fmt.Fprintf(w, "%s: ", response.Status)
	io.Copy(w, response.Body)
}
