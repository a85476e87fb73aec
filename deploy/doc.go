// Package deploy holds what an operator installs with the agents: units and run scripts, Consul policies, alerts, a
// dashboard and a Debian package. The Go code here only tests these files. See README.md.
package deploy
