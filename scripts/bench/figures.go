//go:build ignore

package main

// figure is one promise: a metric of a benchmark and its limit.
type figure struct {
	What      string  `json:"what"`
	Package   string  `json:"package"`
	Benchmark string  `json:"benchmark"`
	Metric    string  `json:"metric"`
	Consul    bool    `json:"consul,omitempty"` // measured on a real Consul too: the figure is the ratio ours / Consul's
	Ours      float64 `json:"ours,omitempty"`
	Theirs    float64 `json:"theirs,omitempty"`
	Bar       float64 `json:"bar"`
	AtLeast   bool    `json:"at_least,omitempty"` // the limit is a minimum, not a maximum
	Measured  float64 `json:"measured"`
	Found     bool    `json:"found"`
	Met       bool    `json:"met"`
}

// figures are the promises. Each benchmark measures the reference of its ratio itself, in the same run.
var figures = []figure{
	{What: "intent PUT to new process running, p50, ms", Package: story, Benchmark: "BenchmarkSwitch", Metric: "switch-ms", Bar: 60},
	{What: "the same / sv stop, ln, sv up by hand", Package: story, Benchmark: "BenchmarkSwitch", Metric: "switch-ratio", Bar: 2},
	{What: "intent PUT to firewall rule, minus raw watch and restore, p50, ms", Package: ports, Benchmark: "BenchmarkIntentToRule/nft", Metric: "overhead-ms", Bar: 5},
	{What: "intent PUT to firewall rule, minus raw watch and restore, p50, ms, legacy iptables", Package: ports, Benchmark: "BenchmarkIntentToRule/legacy", Metric: "overhead-ms", Bar: 5},
	{What: "10,000 ports: converge / raw iptables-restore", Package: ports, Benchmark: "BenchmarkManyPorts/nft", Metric: "open/restore", Bar: 1.5},
	{What: "10,000 ports: no-op pass / raw iptables-save", Package: ports, Benchmark: "BenchmarkManyPorts/nft", Metric: "idle/save", Bar: 1.5},
	{What: "install of 200 MB, 5,000 files / sha256sum && tar xzf", Package: unpack, Benchmark: "BenchmarkInstall", Metric: "ratio", Bar: 0.9},
	{What: "its peak memory, MiB", Package: unpack, Benchmark: "BenchmarkInstall", Metric: "MiB/peak-rss", Bar: 64},
	{What: "embedded store: 64-way durable puts / Consul", Package: embedded, Benchmark: "BenchmarkPut64", Metric: "puts/s", Consul: true, Bar: 2, AtLeast: true},
	{What: "embedded store: sequential gets / Consul", Package: embedded, Benchmark: "BenchmarkGet/one-processor", Metric: "gets/consul", Bar: 2, AtLeast: true},
	{What: "the same on many processors, which mostly sleep", Package: embedded, Benchmark: "BenchmarkGet/many-processors", Metric: "gets/consul", Bar: 2, AtLeast: true},
	{What: "embedded store: put to watcher, p50 / Consul", Package: embedded, Benchmark: "BenchmarkPutToWatcher", Metric: "p50-µs", Consul: true, Bar: 0.5},
	{What: "embedded store: start to first answer, ms", Package: embedded, Benchmark: "BenchmarkStart", Metric: "ms/start", Bar: 100},
	{What: "embedded store: memory with 10,000 keys, MiB", Package: embedded, Benchmark: "BenchmarkMemory", Metric: "MiB-read", Bar: 40},
	{What: "10,000 blocked watchers: one write wakes all, ms", Package: embedded, Benchmark: "BenchmarkWatchers", Metric: "ms-wake-all", Bar: 1000},
	{What: "10,000 blocked watchers: memory, MiB", Package: embedded, Benchmark: "BenchmarkWatchers", Metric: "MiB-waiting", Bar: 300},
	{What: "history: commit of a 2 kB intent / a raw transaction", Package: past, Benchmark: "BenchmarkCommit", Metric: "commit/txn", Bar: 3},
	{What: "the same / git commit of a file", Package: past, Benchmark: "BenchmarkCommit", Metric: "commit/git", Bar: 1},
	{What: "history: first commit of a new program / a raw transaction", Package: past, Benchmark: "BenchmarkFirstCommit", Metric: "first-commit/txn", Bar: 3},
	{What: "the same when it creates an intent", Package: past, Benchmark: "BenchmarkFirstCommit", Metric: "first-creation/txn", Bar: 3},
	{What: "history: 1,000 keys of the past / a plain recursive read of now", Package: past, Benchmark: "BenchmarkPast", Metric: "past/now", Bar: 3},
	{What: "the same / git archive", Package: past, Benchmark: "BenchmarkPast", Metric: "past/git", Bar: 1},
	{What: "history: bytes kept of a change of a 10 kB intent", Package: past, Benchmark: "BenchmarkKept", Metric: "B/change", Bar: 700},
	{What: "the same / git gc --aggressive", Package: past, Benchmark: "BenchmarkKept", Metric: "kept/git", Bar: 1},
	{What: "vms: decisions a second on one core, 100 machines", Package: fleet, Benchmark: "BenchmarkChoose/machines=100", Metric: "decisions/s", Bar: 50000, AtLeast: true},
	{What: "vms: decisions a second on one core, 1,000 machines", Package: fleet, Benchmark: "BenchmarkChoose/machines=1000", Metric: "decisions/s", Bar: 50000, AtLeast: true},
	{What: "vms: decisions a second on one core, 10,000 machines", Package: fleet, Benchmark: "BenchmarkChoose/machines=10000", Metric: "decisions/s", Bar: 50000, AtLeast: true},
	{What: "vms: decisions at 10,000 machines that take over 1 ms, %", Package: fleet, Benchmark: "BenchmarkChoose/machines=10000", Metric: "%over-1ms", Bar: 1},
	{What: "vms: commits a second, one txn each / bare txns, embedded store", Package: allocator, Benchmark: "BenchmarkCommit/embedded/one", Metric: "ours/raw", Bar: 0.8, AtLeast: true},
	{What: "vms: commits a second, batched / bare txns, embedded store", Package: allocator, Benchmark: "BenchmarkCommit/embedded/batched", Metric: "ours/raw", Bar: 0.8, AtLeast: true},
	{What: "vms: commits a second, one txn each / bare txns, Consul", Package: allocator, Benchmark: "BenchmarkCommit/consul/one", Metric: "ours/raw", Bar: 0.8, AtLeast: true},
	{What: "vms: commits a second, batched / bare txns, Consul", Package: allocator, Benchmark: "BenchmarkCommit/consul/batched", Metric: "ours/raw", Bar: 0.8, AtLeast: true},
	{What: "vms: transactions refused with 4 allocators at work, %", Package: allocator, Benchmark: "BenchmarkConflicts", Metric: "conflicts-%", Bar: 10},
	{What: "launch, start to answer, p50, ms, embedded store", Package: cli, Benchmark: "BenchmarkLaunch/embedded", Metric: "launch-ms", Bar: 30},
	{What: "launch, start to answer, p50, ms, Consul", Package: cli, Benchmark: "BenchmarkLaunch/consul", Metric: "launch-ms", Bar: 30},
	{What: "idle preparer with 20 apps: processor, %", Package: story, Benchmark: "BenchmarkIdle", Metric: "preparer-cpu-%", Bar: 0.2},
	{What: "idle port-authority with 20 apps: processor, %", Package: story, Benchmark: "BenchmarkIdle", Metric: "port-authority-cpu-%", Bar: 0.2},
	{What: "idle setlive with 20 apps: processor, %", Package: story, Benchmark: "BenchmarkIdle", Metric: "setlive-cpu-%", Bar: 0.2},
	{What: "idle preparer: memory, MiB", Package: story, Benchmark: "BenchmarkIdle", Metric: "preparer-MiB", Bar: 30},
	{What: "idle port-authority: memory, MiB", Package: story, Benchmark: "BenchmarkIdle", Metric: "port-authority-MiB", Bar: 30},
	{What: "idle setlive: memory, MiB", Package: story, Benchmark: "BenchmarkIdle", Metric: "setlive-MiB", Bar: 30},
	{What: "warm call of a Go seed with the kill check, ns", Package: engine, Benchmark: "BenchmarkWarmCall/checked", Metric: "ns/op", Bar: 2000},
	{What: "warm call of a trusted Go seed, ns", Package: engine, Benchmark: "BenchmarkWarmCall/trusted", Metric: "ns/op", Bar: 300},
	{What: "hello over HTTP with the kill check, answers a second of processor / plain net/http", Package: seeds, Benchmark: "BenchmarkHTTP", Metric: "checked/plain", Bar: 0.6, AtLeast: true},
	{What: "the same, trusted", Package: seeds, Benchmark: "BenchmarkHTTP", Metric: "trusted/plain", Bar: 0.85, AtLeast: true},
	{What: "agent killed and started to first answer, code cached, ms", Package: seeds, Benchmark: "BenchmarkRestart", Metric: "ms/restart", Bar: 100},
	{What: "another replica where module and code are cached, ms", Package: seeds, Benchmark: "BenchmarkReady", Metric: "ms/ready", Bar: 1000},
	{What: "100 seeds x 2, the eleventh node: moved beyond its share, worst of 200 fleets, %", Package: seeds, Benchmark: "BenchmarkSpread", Metric: "moved-%-over-ideal", Bar: 2},
	{What: "the same: fullest node / mean", Package: seeds, Benchmark: "BenchmarkSpread", Metric: "max/mean", Bar: 1.5},
	{What: "ten nodes, 20 seeds, one agent killed: all ready again, ms", Package: seeds, Benchmark: "BenchmarkFailover", Metric: "failover-ms", Bar: 15000},
	{What: "20 callers where 2 can be served, 60 s: goodput / peak", Package: seeds, Benchmark: "BenchmarkOverload", Metric: "goodput/peak", Bar: 0.8, AtLeast: true},
	{What: "the same: p99 of what is answered / idle", Package: seeds, Benchmark: "BenchmarkOverload", Metric: "p99/idle", Bar: 2},
	{What: "the same: the first call afterwards, ms", Package: seeds, Benchmark: "BenchmarkOverload", Metric: "recovery-ms", Bar: 2000},
	{What: "blob of 1 GiB, put and get over TLS, also over a link that is cut: peak memory of program, agent and worker, MiB", Package: cli, Benchmark: "BenchmarkBlob", Metric: "MiB/peak-rss", Bar: 64},
	{What: "the same: put / sha256sum of the file", Package: cli, Benchmark: "BenchmarkBlob", Metric: "put/sha256sum", Bar: 2.5},
	{What: "the same: put, MiB a second", Package: cli, Benchmark: "BenchmarkBlob", Metric: "MiB/s", Bar: 50, AtLeast: true},
	{What: "idle agents: writes to the store in 60 s", Package: story, Benchmark: "BenchmarkIdle", Metric: "store-writes", Bar: 0},
	{What: "store write to painted page, p95, ms, embedded store", Package: dashboard, Benchmark: "BenchmarkWriteToPaint/embedded", Metric: "p95-ms", Bar: 300},
	{What: "store write to painted page, p95, ms, Consul", Package: dashboard, Benchmark: "BenchmarkWriteToPaint/consul", Metric: "p95-ms", Bar: 300},
	{What: "the same at ten writes a second, p95, ms, embedded store", Package: dashboard, Benchmark: "BenchmarkBusyToPaint/embedded", Metric: "p95-ms", Bar: 300},
	{What: "the same at ten writes a second, p95, ms, Consul", Package: dashboard, Benchmark: "BenchmarkBusyToPaint/consul", Metric: "p95-ms", Bar: 300},
	{What: "an open page, idle for 60 s: writes to the store", Package: dashboard, Benchmark: "BenchmarkOpenPage", Metric: "store-writes", Bar: 0},
	{What: "dashboard with an open page: memory, MiB", Package: dashboard, Benchmark: "BenchmarkOpenPage", Metric: "MiB", Bar: 40},
	{What: "page of a region, 5,000 machines in the fleet, kB", Package: dashboard, Benchmark: "BenchmarkPageOfMany", Metric: "kB-region-gz", Bar: 40},
}

const (
	story     = "./agents/internal/story"
	dashboard = "./agents/dashboard"
	ports     = "./agents/port-authority"
	unpack    = "./agents/preparer/unpack"
	embedded  = "./store/embedded"
	fleet     = "./intent/fleet"
	allocator = "./agents/allocator"
	cli       = "./deploy/platypus"
	past      = "./store/history"
	seeds     = "./agents/seed-placer"
	engine    = "./agents/seed-placer/engine"
)
