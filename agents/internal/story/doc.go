// Package story holds the whole of Platypus at work, as tests: every program as a process of its own, a real store, a
// real supervisor, a real firewall in a network namespace, and programs of Debian's as artifacts. There is nothing to
// import here.
package story
