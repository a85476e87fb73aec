// Package deploy is what an operator installs around the agents: units and run scripts, Consul policies, alerts, a
// dashboard and a Debian package. The files are the content; this package holds only the tests that they keep their
// promises. See README.md beside it.
package deploy
