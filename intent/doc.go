// Package intent defines the declarations of Platypus: what people can declare, how it is encoded, and where it lies in
// the store and on a host. It imports only the standard library and does no I/O.
//
// # Words
//
//   - intent: what people declared, in the store, as JSON
//   - desired: the part of intent that one agent must establish
//   - actual: what an agent observes on its host now
//   - subject: what a step or a state concerns: an app, a seed, a vm
//   - node: a host that runs agents
//   - region, machine: where nodes stand, and what one of them can hold
//   - vm, instance: a share of a machine that is declared; one of as many as its count
//   - ledger, placement: what a machine holds; where an instance is
//   - app, cluster, version: a program, one group of nodes that run it, one artifact of it
//   - report: what an agent last reported about its subjects
//
// # Keys
//
// Every key lies under a [Tree]. [Tree] is the only place that spells one:
//
//	intent/nodes/<node>/<app>                    [Assignment]
//	intent/clusters/<app>/<cluster>/config        [Config], written by developers
//	intent/clusters/<app>/<cluster>/deploy_config [DeployConfig], privileged: it steers root
//	intent/regions/<code>                         [Region]
//	intent/machines/<region>/<machine>            [Machine]
//	intent/vms/<name>                             [VM]
//	ledger/<region>/<machine>                     [Ledger], written by allocators alone
//	placement/vms/<name>.<i>                      [Placement], in one transaction with the ledger
//	placement/nodes/<node>/<app>                  [Assignment], for vms that name an app
//	status/<agent>/<node>                         [Report]
//
// # Decoding
//
// Decoding is strict about what is dangerous (size, depth, UTF-8, duplicate members, types, names, paths) and lenient
// about what is only unknown: an unknown member or version status is a warning. Every [Problem] names its key, JSON
// pointer, line and column. A value with an error never counts as absent: its app is kept, marked [PhaseInvalid],
// and agents leave it as it is.
package intent
