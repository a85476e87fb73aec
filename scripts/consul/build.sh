#!/usr/bin/env bash
# Prints the path of a Consul binary for the tests; builds the pinned one when this machine has none.
set -euo pipefail
version=1.16.1

usage() {
	cat <<EOF
usage: ${0##*/} [-h]

Prints the path of a consul binary on stdout: the one on PATH, else the cached build of $version, else it builds
that version there first (some minutes, once). The talk goes to stderr.

  PLATYPUS_CACHE   folder of the cache (default: ~/.cache/platypus)
EOF
}
case ${1-} in
-h | --help) usage && exit 0 ;;
?*) usage >&2 && exit 64 ;;
esac

if command -v consul; then exit 0; fi
dir=${PLATYPUS_CACHE:-$HOME/.cache/platypus}/consul-$version
if [ ! -x "$dir/consul" ]; then
	mkdir -p "$dir"
	# Two builders at once: the second waits here and then finds the work done.
	if command -v flock >/dev/null; then exec 9>"$dir/lock" && flock 9; fi
	if [ ! -x "$dir/consul" ]; then
		echo "consul $version: building into $dir (about 5 minutes on 2 cores, once)" >&2
		trap 'rm -f "$dir/consul.$$"' EXIT
		cd "$(dirname "$0")"
		GOWORK=off GOFLAGS=-buildvcs=false CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' \
			-o "$dir/consul.$$" github.com/hashicorp/consul >&2
		mv "$dir/consul.$$" "$dir/consul"
		echo "consul $version: built in $SECONDS s" >&2
	fi
fi
echo "$dir/consul"
