// Package store is the access of all Platypus programs to Consul's KV, served by a cluster, a local agent or the
// embedded store: reads, watches, writes, leases and reports. Only it imports Consul's client.
//
// # Guarantees
//
//   - A snapshot is complete or it is not delivered: an error, a denied read or a list filtered by ACLs is never an
//     empty result.
//   - A watch delivers the newest state, possibly not every state in between, and only if it differs from the last.
//   - Watches read in Consul's default mode, reads that decide about a removal in its consistent mode, none in stale.
//   - Every request has a deadline.
//   - A write that failed did not happen, unless the error is [ErrUnknown].
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

// Config overrides Consul's environment variables (CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN_FILE, …). An empty field
// overrides nothing. Without any address the store uses the socket of the one-machine store if it exists, else Consul's
// default address.
type Config struct {
	Address   string // host:port, http(s)://… or unix://…
	Token     string
	TokenFile string // reread by Reload
	CAFile    string
	CertFile  string
	KeyFile   string
	Namespace string
	Partition string
	Dry       bool // read-only: every write is a [DryError] and is not sent
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	config Config
	client atomic.Pointer[api.Client]
	files  atomic.Pointer[string] // digest of the credential files when they were read
}

// requestTimeout limits a request that is not a blocking query.
const requestTimeout = 10 * time.Second

// Open returns the store that config and the environment select. It does not connect: the first request fails if the
// store is down.
func Open(config Config) (*Store, error) {
	s := &Store{config: config}
	return s, s.Reload()
}

// Reload rereads token and certificates. On error the store keeps the previous ones.
func (s *Store) Reload() error {
	c := s.clientConfig()
	s.dialLocalSocket(c)
	files := filesDigest(c)
	client, err := api.NewClient(c)
	if err != nil {
		return fmt.Errorf("open store %s: %w", c.Address, err)
	}
	c.HttpClient.Transport = responseChecker{c.HttpClient.Transport}
	if s.config.Dry {
		c.HttpClient.Transport = dryRunTransport{c.HttpClient.Transport}
	}
	s.client.Store(client)
	s.files.Store(&files)
	return nil
}

// refresh reloads if a credential file has changed, for tokens and certificates that are renewed without a call of
// Reload.
func (s *Store) refresh() {
	if now := filesDigest(s.clientConfig()); now != *s.files.Load() {
		_ = s.Reload() // retried at the next rejection
	}
}

// filesDigest is a digest of the files that c names. It covers their content, because two renewals in a row may leave
// the same size and modification time.
func filesDigest(c *api.Config) (all string) {
	for _, path := range []string{c.TokenFile, c.TLSConfig.CAFile, c.TLSConfig.CertFile, c.TLSConfig.KeyFile} {
		if text, err := os.ReadFile(path); err == nil {
			all += fmt.Sprintf("%x;", sha256.Sum256(text))
		} else {
			all += ";"
		}
	}
	return all
}

// clientConfig is the environment's configuration with the overrides of config.
func (s *Store) clientConfig() *api.Config {
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

// Address returns the address of the store, for messages.
func (s *Store) Address() string {
	if path := foundSocket(); path != "" && s.usesDefaultAddress() {
		return "unix://" + path
	}
	if s.usesDefaultAddress() && socketExpected() {
		return "unix://" + LocalSocket()
	}
	return s.clientConfig().Address
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
