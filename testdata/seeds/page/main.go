// Command page answers HTTP requests by CGI, with the standard library alone.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
)

func main() {
	err := cgi.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seed", "page")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, "%s %s said %q to %s", r.Method, r.URL.Path, body, r.Host)
	}))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
