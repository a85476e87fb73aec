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
		name: "call", usage: "call a function of a seed", args: "SEED FUNCTION [INPUT]", minArgs: 2, maxArgs: 3,
		text: `Calls a node that has the seed ready and prints what it answers. The FUNCTION of a command, or of a reactor that has
only one, is "". Without INPUT, or with -, the input is read from standard input. A call that is refused because there is
too much to do, or because nobody is ready yet, is tried again until --timeout is over.`,
		examples: []string{`platypus call hello "" "some input"`, "platypus call resize thumbnail - --timeout 5s < photo.jpg > small.jpg"},
		flags:    append([]cli.Flag{&cli.DurationFlag{Name: "timeout", Usage: "give up after this long", Value: 30 * time.Second}}, tlsFlags()...),
		run:      callSeed,
	}
}

func callSeed(ctx context.Context, cmd *command) error {
	name, err := cmd.nameArg(0, "SEED")
	if err != nil {
		return err
	}
	input, err := cmd.callInput()
	if err != nil {
		return err
	}
	peer, err := cmd.newNodeClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmd.flags.Duration("timeout"))
	defer cancel()
	var lastRefusal error // of the last attempt that completed
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		output, err := cmd.callOnce(ctx, peer, name, cmd.args[1], input)
		if err == nil {
			_, err = cmd.out.Write(output)
			return err
		}
		if ctx.Err() != nil && lastRefusal != nil { // an attempt cut off by the deadline says nothing about the seed
			err = lastRefusal
		}
		var later retryable
		if !errors.As(err, &later) {
			return err
		}
		lastRefusal = err
		select {
		case <-time.After(max(wait, later.after)/2 + rand.N(wait)):
		case <-ctx.Done():
			return fmt.Errorf("%w; gave up after %v", err, cmd.flags.Duration("timeout"))
		}
	}
}

// callInput returns the last argument or standard input.
func (cmd *command) callInput() ([]byte, error) {
	if len(cmd.args) == 3 && cmd.args[2] != "-" {
		return []byte(cmd.args[2]), nil
	}
	if len(cmd.args) == 2 && isTerminal(cmd.in) {
		return nil, nil
	}
	return io.ReadAll(cmd.in)
}

// retryable is an error that may be temporary.
type retryable struct {
	error
	after time.Duration
}

func (r retryable) Unwrap() error { return r.error }

// callOnce calls one of the nodes that have the seed ready.
func (cmd *command) callOnce(ctx context.Context, peer *nodeClient, seed intent.Name, function string, input []byte) ([]byte, error) {
	replicas, err := cmd.replicas(ctx, seed)
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
		if gone, err := cmd.store.Gone(ctx, cmd.tree.Seed(seed)); err == nil && gone {
			return nil, fmt.Errorf("seed %q is not declared: platypus seed FILE %s publishes it", seed, seed)
		}
		return nil, retryable{error: fmt.Errorf("no node has %s ready: platypus explain %s says why", seed, seed)}
	}
	address := ready[rand.IntN(len(ready))].Address
	target, err := peer.url(address, "/call/"+url.PathEscape(string(seed))+"/"+url.PathEscape(function))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", seed, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(input))
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		request.Header.Set("Platypus-Deadline-Ms", strconv.FormatInt(max(1, time.Until(deadline).Milliseconds()), 10))
	}
	response, err := peer.client.Do(request)
	var refused *tlsError
	if err = peer.explainTLS(err, address); errors.As(err, &refused) {
		return nil, fmt.Errorf("call %s: %w", seed, err)
	}
	if err != nil {
		return nil, retryable{error: fmt.Errorf("call %s at %s: %w", seed, address, err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode == http.StatusOK {
		return body, err
	}
	return nil, callError(seed, response, body)
}

// callError converts the error response of a node.
func callError(seed intent.Name, response *http.Response, body []byte) error {
	var reply struct {
		Code  string `json:"code"`
		Error string `json:"error"`
		After int64  `json:"retry_after_ms"`
	}
	if json.Unmarshal(body, &reply) != nil || reply.Code == "" {
		return fmt.Errorf("call %s: %s: %s", seed, response.Status, strings.TrimSpace(string(body)))
	}
	err := fmt.Errorf("call %s: %s: %s", seed, reply.Code, reply.Error)
	if reply.Code == "overloaded" || reply.Code == "unavailable" {
		return retryable{err, time.Duration(reply.After) * time.Millisecond}
	}
	return err
}

// replicas returns the replica records of a seed, by node.
func (cmd *command) replicas(ctx context.Context, seed intent.Name) (map[string]intent.Replica, error) {
	prefix := cmd.tree.Replicas().Join(seed)
	pairs, _, err := cmd.store.List(ctx, prefix, store.Default)
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
