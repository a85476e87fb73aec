package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

func callVerb() verb {
	return verb{
		name: "call", usage: "call a function of a seed", args: "SEED FUNCTION [INPUT]", min: 2, max: 3,
		text: `Calls a node that has the seed ready and prints what it answers. The FUNCTION of a command, or of a reactor that has
only one, is "". Without INPUT, or with -, the input is read from standard input. A call that is refused because there is
too much to do, or because nobody is ready yet, is tried again until --timeout is over.`,
		examples: []string{`platypus call hello "" "some input"`, "platypus call resize thumbnail - --timeout 5s < photo.jpg > small.jpg"},
		flags:    []cli.Flag{&cli.DurationFlag{Name: "timeout", Usage: "give up after this long", Value: 30 * time.Second}},
		run:      callSeed,
	}
}

func callSeed(ctx context.Context, sh *shell) error {
	name, err := sh.name(0, "SEED")
	if err != nil {
		return err
	}
	input, err := sh.input()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sh.flags.Duration("timeout"))
	defer cancel()
	var because error // of the last try that was heard to its end
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		output, err := sh.callOnce(ctx, name, sh.args[1], input)
		if err == nil {
			_, err = sh.out.Write(output)
			return err
		}
		if ctx.Err() != nil && because != nil { // a try that time cut off says nothing of the seed
			err = because
		}
		var later retryable
		if !errors.As(err, &later) {
			return err
		}
		because = err
		select {
		case <-time.After(max(wait, later.after)/2 + rand.N(wait)):
		case <-ctx.Done():
			return fmt.Errorf("%w; gave up after %v", err, sh.flags.Duration("timeout"))
		}
	}
}

// input is the last argument or standard input.
func (sh *shell) input() ([]byte, error) {
	if len(sh.args) == 3 && sh.args[2] != "-" {
		return []byte(sh.args[2]), nil
	}
	if len(sh.args) == 2 && terminal(sh.in) {
		return nil, nil
	}
	return io.ReadAll(sh.in)
}

// retryable is a refusal that may end by itself.
type retryable struct {
	error
	after time.Duration
}

func (r retryable) Unwrap() error { return r.error }

// callOnce calls one of the nodes that have the seed ready.
func (sh *shell) callOnce(ctx context.Context, seed intent.Name, function string, input []byte) ([]byte, error) {
	replicas, err := sh.replicas(ctx, seed)
	if err != nil {
		return nil, err
	}
	var ready []intent.Replica
	for _, r := range replicas {
		if r.State == intent.ReplicaReady {
			ready = append(ready, r)
		}
	}
	if len(ready) == 0 {
		if gone, err := sh.store.Gone(ctx, sh.tree.Seed(seed)); err == nil && gone {
			return nil, fmt.Errorf("seed %q is not declared: platypus seed FILE %s publishes it", seed, seed)
		}
		return nil, retryable{error: fmt.Errorf("no node has %s ready: platypus explain %s says why", seed, seed)}
	}
	address := ready[rand.IntN(len(ready))].Address
	target := "http://" + address + "/call/" + url.PathEscape(string(seed)) + "/" + url.PathEscape(function)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(input))
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		request.Header.Set("Platypus-Deadline-Ms", strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, retryable{error: fmt.Errorf("call %s at %s: %w", seed, address, err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode == http.StatusOK {
		return body, err
	}
	return nil, refusal(seed, response, body)
}

// refusal is the error that a node answered with.
func refusal(seed intent.Name, response *http.Response, body []byte) error {
	var said struct {
		Code  string `json:"code"`
		Error string `json:"error"`
		After int64  `json:"retry_after_ms"`
	}
	if json.Unmarshal(body, &said) != nil || said.Code == "" {
		return fmt.Errorf("call %s: %s: %s", seed, response.Status, strings.TrimSpace(string(body)))
	}
	err := fmt.Errorf("call %s: %s: %s", seed, said.Code, said.Error)
	if said.Code == "overloaded" || said.Code == "unavailable" {
		return retryable{err, time.Duration(said.After) * time.Millisecond}
	}
	return err
}

// replicas are what nodes say of a seed, by node.
func (sh *shell) replicas(ctx context.Context, seed intent.Name) (map[string]intent.Replica, error) {
	prefix := sh.tree.Replicas().Join(seed)
	pairs, _, err := sh.store.List(ctx, prefix, store.Default)
	if err != nil {
		return nil, err
	}
	all := map[string]intent.Replica{}
	for _, pair := range pairs {
		node, _ := prefix.Below(pair.Key)
		var r intent.Replica
		if json.Unmarshal(pair.Value, &r) == nil {
			all[node] = r
		}
	}
	return all, nil
}
