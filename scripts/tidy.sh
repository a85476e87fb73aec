#!/bin/sh
# tidy.sh [MODULE...]: go mod tidy for modules that require their unpublished siblings.
# A relative replace in a committed go.mod would break `go install module@version`, so the replaces live only in a
# scratch copy for as long as tidy runs.
set -eu
[ "${1:-}" = -h ] && { sed -n '2s/^# //p' "$0"; exit 0; }
cd "$(dirname "$0")/.."
root=$PWD
path=github.com/platypus-platform/platypus
for module in ${*:-intent store agents deploy deploy/platypus scripts/house}; do
	[ -f "$module/go.mod" ] || continue
	(
		cd "$module"
		cp go.mod tidy.mod
		[ -f go.sum ] && cp go.sum tidy.sum || : >tidy.sum
		trap 'rm -f tidy.mod tidy.sum' EXIT
		for sibling in intent store agents deploy; do
			go mod edit -replace "$path/$sibling=$root/$sibling" tidy.mod
		done
		GOWORK=off go mod tidy -modfile=tidy.mod
		for sibling in intent store agents deploy; do
			go mod edit -dropreplace "$path/$sibling" tidy.mod
		done
		sed "s/v0.0.0-00010101000000-000000000000/v0.0.0/" tidy.mod >go.mod
		[ -s tidy.sum ] && cp tidy.sum go.sum || rm -f go.sum
	)
done
