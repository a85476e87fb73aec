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
//   - What failed did not happen, unless the error is [ErrUnknown].
package store

import (
	"crypto/sha256"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/platypus-platform/platypus/intent"
)

// Config overrides what Consul's own environment variables (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN_FILE, …) say. An
// empty field overrides nothing. Where neither says an address, it is the socket of the one-machine store, if there is
// one, else Consul's default.
type Config struct {
	Address   string // host:port, http(s)://… or unix://…
	Token     string
	TokenFile string // read again by Reload
	CAFile    string
	CertFile  string
	KeyFile   string
	Namespace string
	Partition string
	Dry       bool // reads alone: every write is a [DryError], and is not sent
}

// Store is an open store. It is safe for use by many goroutines.
type Store struct {
	config Config
	client atomic.Pointer[api.Client]
	files  atomic.Pointer[string] // what the files of config were when they were read
}

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
	s.findLocal(c)
	files := stamp(c)
	client, err := api.NewClient(c)
	if err != nil {
		return fmt.Errorf("open store %s: %w", c.Address, err)
	}
	c.HttpClient.Transport = strict{c.HttpClient.Transport}
	if s.config.Dry {
		c.HttpClient.Transport = reader{c.HttpClient.Transport}
	}
	s.client.Store(client)
	s.files.Store(&files)
	return nil
}

// refresh reloads if a file has changed since it was read: whoever renews a token or a certificate may forget to say so.
func (s *Store) refresh() {
	if now := stamp(s.settings()); now != *s.files.Load() {
		_ = s.Reload() // what cannot be read yet is looked at again at the next refusal
	}
}

// stamp tells one state of the files that c names from another, by what they hold: two renewals in a row may well leave
// files of one size and, as the clock of a file system ticks, of one time.
func stamp(c *api.Config) (all string) {
	for _, path := range []string{c.TokenFile, c.TLSConfig.CAFile, c.TLSConfig.CertFile, c.TLSConfig.KeyFile} {
		if text, err := os.ReadFile(path); err == nil {
			all += fmt.Sprintf("%x;", sha256.Sum256(text))
		} else {
			all += ";"
		}
	}
	return all
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
	if path := foundSocket(); path != "" && s.unsaid() {
		return "unix://" + path
	}
	if s.unsaid() && socketExpected() {
		return "unix://" + LocalSocket()
	}
	return s.settings().Address
}

func override(field *string, value string) {
	if value != "" {
		*field = value
	}
}

func (s *Store) kv() *api.KV { return s.client.Load().KV() }

func pairOf(p *api.KVPair) intent.Pair {
	return intent.Pair{Key: p.Key, Value: p.Value, CreateIndex: p.CreateIndex, ModifyIndex: p.ModifyIndex, Flags: p.Flags}
}
