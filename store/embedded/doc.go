// Package embedded is the store for one machine: Consul's HTTP API in front of a tree in memory and a durable log on
// disk. It speaks what agents, the consul command line and Consul's Go client need of it: the KV with blocking queries,
// transactions, sessions, and the agent, catalog and health endpoints for services that live on this machine. It knows
// no access control lists, no other datacenters and no other servers.
//
// One goroutine applies all writes in order. It gathers what waits, applies it to an unpublished copy of the tree,
// writes all of it to disk with one flush, and only then shows it to readers, wakes watchers and answers the writers.
// So whatever anybody has seen survives the loss of the process and of power, and a failed flush changes nothing.
//
// Where the documentation of Consul is silent, Consul 1.16 decides; the suite in package conformance runs on both.
package embedded
