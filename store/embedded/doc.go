// Package embedded is the store for one machine: Consul's HTTP API on an in-memory tree with a durable log on disk. It
// implements what agents, the consul command line and Consul's Go client use: the KV with blocking queries,
// transactions, sessions, and the agent, catalog and health endpoints for services on this machine. It has no access
// control lists, no other datacenters and no other servers.
//
// One goroutine applies all writes in order. It collects the queued writes, applies them to an unpublished copy of the
// tree, writes them to disk with one flush, and only then publishes the copy, wakes watchers and answers the writers.
// So everything a client has seen survives a crash or a power cut, and a failed flush changes nothing.
//
// Where Consul's documentation is silent, the store behaves like Consul 1.16; the suite in package conformance runs on
// both.
package embedded
