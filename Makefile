# The two commands to know: make demo, make test.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
TIMEOUT     ?= 20m
PREFIX      ?= /usr/local
DESTDIR     ?=

# Without C in programs and tests alike, what both consist of is compiled once.
export CGO_ENABLED = 0

# One program is built and tested the same on every machine: static, and without paths of the builder in it.
VERSION ?= $(shell scripts/version.sh)
BUILD    = go build -trimpath \
	-ldflags '-X github.com/platypus-platform/platypus/agents/internal/agent.Version=$(VERSION) -X main.Version=$(VERSION)'
# Three packages at a time: most of these tests start real processes, and wait for them. They bring their own store,
# whatever store this shell talks to.
TEST  = env -u CONSUL_HTTP_ADDR -u CONSUL_HTTP_TOKEN -u CONSUL_HTTP_TOKEN_FILE go test -p 3 -timeout $(TIMEOUT)
# The real Consul is looked for on PATH by every test that wants it.
WITH_CONSUL = PATH="$$(dirname "$$(scripts/consul/build.sh || echo none)"):$$PATH"
# Tests of several packages run the programs: they are linked once for all of them, and anew in each run.
PROGRAMS = PLATYPUS_BIN=$$(mktemp -d) && export PLATYPUS_BIN && trap 'rm -rf "$$PLATYPUS_BIN"' EXIT && go build -o "$$PLATYPUS_BIN/" work
SOURCES := intent store agents deploy scripts

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## every program, into bin/
	@mkdir -p bin
	$(BUILD) -o bin/ work

.PHONY: demo
demo: ## Platypus at work on this machine, with nothing installed
	@scripts/deps.sh demo
	@scripts/demo.sh

.PHONY: test
test: deps consul format vet house ## everything that must hold
	@$(WITH_CONSUL); export PATH; $(PROGRAMS) && scripts/untouched.sh $(TEST) work

.PHONY: race
race: TIMEOUT = 40m
race: consul ## the tests again, under the race detector (an hour on 2 cores)
	@scripts/deps.sh test race
	@$(WITH_CONSUL); export PATH; CGO_ENABLED=1 $(TEST) -race work

.PHONY: faults
faults: consul ## kill -9, full disks, power cuts and broken networks at every step (15 to 25 min on 2 cores)
	@scripts/deps.sh test faults
	@$(WITH_CONSUL); export PATH; PLATYPUS_FAULTS=1 $(TEST) -timeout 25m -count 1 -p 1 -v \
		-run 'Fault|Stories|Moment|Away|Linearizable|Damaged|Disk|Restart|Killed|Joins|Snapshot' work

.PHONY: bench
bench: consul ## figures beside their references, kept in dist/bench.json
	@scripts/deps.sh bench
	@$(WITH_CONSUL); export PATH; go run scripts/bench/*.go

.PHONY: fmt
fmt: ## gofmt every file
	@gofmt -w $(SOURCES)

.PHONY: lint
lint: vet ## go vet and staticcheck
	@go run $(STATICCHECK) $$(go list work)

.PHONY: deb
deb: ## a Debian package, into dist/
	@scripts/deps.sh deb
	@deploy/deb/build.sh

.PHONY: release
release: ## static tarballs for amd64 and arm64 with checksums, an SBOM and a signature, into dist/
	@scripts/deps.sh release
	@deploy/release.sh

.PHONY: install
install: build ## programs and units, below PREFIX (/usr/local)
	@deploy/install.sh "$(DESTDIR)" "$(PREFIX)"

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin dist

.PHONY: deps consul format vet house
deps:
	@scripts/deps.sh test
consul:
	@scripts/consul/build.sh >/dev/null || echo "no Consul: what needs it skips itself" >&2
format:
	@out=$$(gofmt -l $(SOURCES)) || exit 1; [ -z "$$out" ] || { echo "gofmt wants (make fmt):" $$out >&2; exit 1; }
house: # what go keeps of an earlier run is not for a test that reads the files of other modules
	@go test -count 1 ./scripts/house
vet:
	@go vet work
