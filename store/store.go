// Package store is how everything of Platypus reaches Consul's KV, be it a cluster, an agent on the same host or the
// embedded store: reading, watching, writing, leases and reports. It is the only importer of Consul's client.
//
// # What it promises
//
//   - A snapshot is complete or it is not delivered: an error, a refused read or a list that was filtered by access
//     rules is never an empty answer.
//   - A watch delivers the newest state, maybe not every state in between, and delivers it again only when it differs.
//   - Watching reads in Consul's default mode, what decides over a removal in its consistent mode, nothing in stale.
//   - No request hangs: each has a deadline.
package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/platypus-platform/platypus/intent"
)

// Config overrides what Consul's own environment variables (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN_FILE, …) say. An
// empty field overrides nothing.
type Config struct {
	Address   string // host:port, http(s)://… or unix://…
	Token     string
	TokenFile string // read again by Reload
	CAFile    string
	CertFile  string
	KeyFile   string
	Namespace string
	Partition string
}

// Store is an open store. It is safe for use by many goroutines.
type Store struct {
	config Config
	client atomic.Pointer[api.Client]
}

// The errors that callers tell apart.
var (
	ErrDenied      = errors.New("the store refuses: check the token and its policies")
	ErrUnreachable = errors.New("the store is out of reach")
	ErrConflict    = errors.New("the store has newer data")
	ErrTooLarge    = errors.New("the store refuses the size")
)

// requestTimeout bounds a request that does not block on purpose.
const requestTimeout = 10 * time.Second

// Open returns the store that config and the environment name. It does not connect: a store that is down is met at
// the first request.
func Open(config Config) (*Store, error) {
	s := &Store{config: config}
	return s, s.Reload()
}

// Reload reads token and certificates again. On error the store goes on with what it has.
func (s *Store) Reload() error {
	c := s.settings()
	client, err := api.NewClient(c)
	if err != nil {
		return fmt.Errorf("open store %s: %w", c.Address, err)
	}
	s.client.Store(client)
	return nil
}

// settings are those of the environment, with the store's own in front.
func (s *Store) settings() *api.Config {
	c := api.DefaultConfig()
	override(&c.Address, s.config.Address)
	override(&c.Token, s.config.Token)
	override(&c.TokenFile, s.config.TokenFile)
	override(&c.TLSConfig.CAFile, s.config.CAFile)
	override(&c.TLSConfig.CertFile, s.config.CertFile)
	override(&c.TLSConfig.KeyFile, s.config.KeyFile)
	override(&c.Namespace, s.config.Namespace)
	override(&c.Partition, s.config.Partition)
	return c
}

// Address says where the store is, for messages.
func (s *Store) Address() string {
	return s.settings().Address
}

func override(field *string, value string) {
	if value != "" {
		*field = value
	}
}

func (s *Store) kv() *api.KV { return s.client.Load().KV() }

// classify puts an error of the client into one of the kinds above, keeping its text.
func classify(verb string, err error) error {
	var status api.StatusError
	kind := ErrUnreachable
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", verb, err)
	case errors.As(err, &status) && status.Code == http.StatusForbidden, strings.Contains(err.Error(), "Permission denied"),
		strings.Contains(err.Error(), "ACL not found"):
		kind = ErrDenied
	case errors.As(err, &status) && status.Code == http.StatusRequestEntityTooLarge, strings.Contains(err.Error(), "too large"),
		strings.Contains(err.Error(), "too many operations"):
		kind = ErrTooLarge
	case errors.As(err, &status) && status.Code == http.StatusBadRequest:
		return fmt.Errorf("%s: %w", verb, err)
	}
	return fmt.Errorf("%s: %w: %w", verb, kind, err)
}

func pairOf(p *api.KVPair) intent.Pair {
	return intent.Pair{Key: p.Key, Value: p.Value, CreateIndex: p.CreateIndex, ModifyIndex: p.ModifyIndex, Flags: p.Flags}
}
