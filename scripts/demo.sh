#!/usr/bin/env bash
# The demo: a small web app is deployed, upgraded under load, and a broken release of it is rolled back; then two seeds
# run on two more nodes, of which one is killed. Everything runs below one scratch directory and ends with the demo.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${PLATYPUS_BIN:-$PWD/bin} # where the programs are built already, none is built
PATH=$bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
case ${1-} in
-h | --help) sed -n '2,3s/^# //p' "$0" && exit 0 ;;
?*) echo "usage: ${0##*/} [-h]" >&2 && exit 64 ;;
esac
unset CONSUL_HTTP_ADDR CONSUL_HTTP_TOKEN CONSUL_HTTP_TOKEN_FILE

bold() { if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
times() { if [ "$1" = 1 ]; then echo once; else echo "$1 times"; fi; }
fail() {
	echo "demo: $*" >&2
	if [ -n "${scratch-}" ]; then tail -n 15 "$scratch"/*.log >&2; fi
	exit 1
}

command -v runsvdir >/dev/null || fail "runit is missing: sudo apt-get install --no-install-recommends runit"
command -v curl >/dev/null || fail "curl is missing: sudo apt-get install --no-install-recommends curl"
command -v go >/dev/null || fail "Go is missing: see https://go.dev/doc/install"
if [ -z "${PLATYPUS_BIN-}" ]; then
	bold "Building"
	make --no-print-directory -s build
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/platypus-demo.XXXXXX")
chmod 755 "$scratch"
dev= client= nodes=
finish() {
	trap - EXIT INT TERM
	for pid in $client $nodes $dev; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A small web app in three releases; the third never gets healthy.
port=8081 # seeds are at 8080
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
mkdir -p "$scratch/app/bin"
(cd testdata/artifacts/hello && GOWORK=off CGO_ENABLED=0 go build -o "$scratch/app/bin/launch" .)
for version in v1 v2; do scripts/pack.sh "$scratch/artifacts" hello $version "$scratch/app" >/dev/null; done
for seed in hello greeter; do
	mode=() && [ $seed = hello ] || mode=(-buildmode=c-shared)
	(cd testdata/seeds && GOWORK=off GOFLAGS='' GOOS=wasip1 GOARCH=wasm go build -trimpath "${mode[@]}" -o "$scratch/$seed.wasm" ./$seed)
done
touch "$scratch/app/bin/broken"
scripts/pack.sh "$scratch/artifacts" hello v3 "$scratch/app" >/dev/null
cat >"$scratch/release.json" <<END
{
  "nodes/demo/hello":                 {"cluster": "demo"},
  "clusters/hello/demo/config":        {"versions": {"v1": "active", "v2": "prep"}, "user_config": {"port": $port}},
  "clusters/hello/demo/deploy_config": {"basedir": "$scratch/srv/hello", "ports": [$port],
                                       "health": {"path": "/healthz", "port": $port, "interval": "100ms", "min_healthy": "500ms", "deadline": "5s"}}
}
END

begin=$(date +%s%N)
bold "Starting the store and the agents (platypus dev)"
log=$scratch/dev.log
platypus dev --dir "$scratch" --listen "unix:$scratch/store.sock" --node demo >"$log" 2>&1 &
dev=$!
for _ in $(seq 600); do
	if grep -q 'platypus dev: store at' "$log" || ! kill -0 "$dev" 2>/dev/null; then break; fi
	sleep 0.1
done
CONSUL_HTTP_ADDR=$(sed -n 's/^platypus dev: store at \([^,]*\),.*/\1/p' "$log")
[ -n "$CONSUL_HTTP_ADDR" ] || { cat "$log" >&2; fail "the store did not start"; }
export CONSUL_HTTP_ADDR PLATYPUS_SEED_SOCKET=$scratch/seeds.sock
seeds=$(sed -n 's/.*seed-placer answers for seeds and sites at //p' "$log")

shown=0
show() { # what the agents said since the last time
	tail -n +$((shown + 1)) "$log" | sed 's/^/    /'
	shown=$(wc -l <"$log")
}
settled() { platypus rollout hello "$1" --cluster demo --wait --timeout 3m; }

sleep 0.3
show
bold "Deploying v1:  platypus apply --yes release.json"
platypus apply --yes "$scratch/release.json" 2>&1 | sed 's/^/    /'
for _ in $(seq 300); do [ "$(curl -sf "http://127.0.0.1:$port/" || true)" = "hello from version v1" ] && break; sleep 0.1; done
settled v1 >/dev/null 2>&1 || { show; fail "v1 did not come up"; }
show
echo "    curl http://127.0.0.1:$port/  →  $(curl -s "http://127.0.0.1:$port/")"

bold "Upgrading to v2 while a client keeps asking:  platypus rollout hello v2 --wait"
(
	trap 'echo "$asked $refused" >"$scratch/client"; exit 0' TERM
	asked=0 refused=0
	while :; do
		asked=$((asked + 1))
		curl -sf -m 2 "http://127.0.0.1:$port/" >/dev/null || refused=$((refused + 1))
		sleep 0.01
	done
) 2>/dev/null &
client=$!
sleep 0.5
settled v2 2>&1 | sed 's/^/    /'
sleep 0.3
kill "$client" && wait "$client" 2>/dev/null || true
client=
show
read -r asked refused <"$scratch/client"
echo "    curl http://127.0.0.1:$port/  →  $(curl -s "http://127.0.0.1:$port/")"
echo "    the client asked $(times "$asked") and was refused $(times "$refused")"

bold "Two nodes for seeds, WebAssembly modules, each of which runs on both:  platypus seed"
node() { # NAME ADDRESS: one more node, which on a real fleet is a host of its own
	seed-placer --node "$1" --label for=seeds --serve "$2:${seeds##*:}" --state-dir "$scratch/$1" --socket "$scratch/$1.sock" >"$scratch/$1.log" 2>&1 &
	nodes="$nodes $!"
	echo "    seed-placer --node $1 --label for=seeds --serve $2:${seeds##*:}"
}
node east 127.0.0.2
east=$!
node west 127.0.0.3

for _ in $(seq 600); do [ -S "$PLATYPUS_SEED_SOCKET" ] && break; sleep 0.1; done
echo "    greeter asks a server, the web app and no other, and has hello greet what that says"
platypus seed "$scratch/hello.wasm" hello --min-replicas 2 --label for=seeds 2>&1 | sed 's/^/    /'
platypus seed "$scratch/greeter.wasm" greeter --min-replicas 2 --label for=seeds --calls hello \
	--egress "http://127.0.0.1:$port" --egress 127.0.0.1/32 2>&1 | sed 's/^/    /'
echo "    they are fetched and compiled while the story goes on"

bold "Releasing v3, which is broken:  platypus rollout hello v3 --wait"
(settled v3 2>&1 || true) | sed 's/^/    /'
for _ in $(seq 100); do [ "$(curl -sf "http://127.0.0.1:$port/" || true)" = "hello from version v2" ] && break; sleep 0.1; done
show
echo "    curl http://127.0.0.1:$port/  →  $(curl -s "http://127.0.0.1:$port/")"

bold "Where everything stands:  platypus status"
platypus status 2>&1 | sed 's/^/    /' || true
platypus why hello demo 2>&1 | sed 's/^/    /' || true
bold "The seeds, called at a node that has none of them:  curl $seeds/call/SEED/FUNCTION"
greet() { curl -sf -m 15 -d "http://127.0.0.1:$port/" "$1/call/greeter/greet"; }
for _ in $(seq 600); do # either node would pass a call on to the other: both are to have greeter themselves
	platypus status 2>/dev/null | grep -q '^greeter .* 2/2 ' && break
	sleep 0.1
done
answer=
for _ in $(seq 600); do # until the node that is asked knows them
	answer=$(greet "$seeds") && break
	sleep 0.1
done
show
echo "    curl -d world $seeds/call/hello/  →  $(curl -s -d world "$seeds/call/hello/")"
echo "    curl -d http://127.0.0.1:$port/ $seeds/call/greeter/greet  →  $answer"
[ "$answer" = "hello, hello from version v2" ] || fail "the seeds do not answer"
echo "    curl -d http://127.0.0.1:1/ $seeds/call/greeter/greet  →  $(curl -s -d http://127.0.0.1:1/ "$seeds/call/greeter/greet")"

bold "One of the two nodes dies while a client keeps calling:  kill -9 $east"
refused=0
for asked in $(seq 40); do
	if [ "$asked" = 10 ]; then kill -9 "$east" && wait "$east" 2>/dev/null || true; fi
	greet "$seeds" >/dev/null || refused=$((refused + 1))
done
echo "    the client called 40 times, 31 of them after that, and was refused $(times "$refused")"
echo "    curl -d http://127.0.0.1:$port/ $seeds/call/greeter/greet  →  $(greet "$seeds")"
[ "$refused" -lt 2 ] || fail "the seeds did not outlive the node"
printf '\nThe story took %d.%d s.\n' $((($(date +%s%N) - begin) / 1000000000)) $((($(date +%s%N) - begin) / 100000000 % 10))

if [ -t 0 ] && [ -t 1 ]; then
	bold "Now you. In another shell:"
	cat <<END
    export CONSUL_HTTP_ADDR=$CONSUL_HTTP_ADDR PLATYPUS_SEED_SOCKET=$PLATYPUS_SEED_SOCKET PATH=$bin:\$PATH
    platypus rollback hello                            # declares v2, which runs again, as the active version
    platypus rollout hello v1 --wait                   # back to v1, no fetch needed
    platypus why hello demo                            # what is it waiting for?
    platypus status --watch
    curl http://127.0.0.1:$port/
    curl -d http://127.0.0.1:$port/ $seeds/call/greeter/greet
    platypus explain greeter
    curl --unix-socket ${CONSUL_HTTP_ADDR#unix://} "http://localhost/v1/kv/?keys"  # everything is plain keys
  Ctrl-C here ends everything and leaves nothing behind.
END
	wait "$dev"
fi
