// Command greeter asks the server that it is given, and has another seed greet what that says.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/platypus-platform/platypus/agents/guest"
)

func main() {}

//go:wasmexport greet
func greet() int32 {
	words, err := ask(strings.TrimSpace(string(guest.Input())))
	if err == nil {
		words, err = guest.Call("pln://seed/hello/", words, 0)
	}
	if err != nil {
		guest.Output([]byte(err.Error()))
		return 1
	}
	guest.Output(words)
	return 0
}

// ask returns what a server answers at an address. Where net/http would do the same, it would make the module larger.
func ask(address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	answer, err := guest.Fetch(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u, u.Host), 0)
	if err != nil {
		return nil, err
	}
	head, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	if status, _, _ := strings.Cut(string(head), "\r\n"); !strings.Contains(status, " 200 ") {
		return nil, errors.New("the server answers " + status)
	}
	return body, nil
}
