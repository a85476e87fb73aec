#!/usr/bin/env bash
# Builds every program of Platypus as one file with a link for each name.
set -euo pipefail

usage() {
	cat <<END
usage: ${0##*/} [-h] DIR

Builds DIR/platypus-suite, and a link to it for each program: DIR/preparer, DIR/setlive, …, DIR/platypus. Which program
runs follows from the name that it was started by. Together they are a fifth of the size of separate programs, because
what all of them use (the Go runtime, the client of Consul, metrics, logs) is in it once.

The programs stay packages of their own in the source: this works on a copy, where each package main gets a name of its
own and one more file calls the right one.

  VERSION   version to put into the programs (default: what scripts/version.sh prints)
  GOARCH    architecture to build for (default: this machine's)
END
}
case ${1-} in
-h | --help) usage && exit 0 ;;
'' | -*) usage >&2 && exit 64 ;;
esac
top=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=${VERSION:-$("$top/scripts/version.sh")}
module=github.com/platypus-platform/platypus
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$top"
tar cf - --exclude='*_test.go' --exclude=./bin --exclude=./dist --exclude=./.git --exclude=./testdata . | tar xf - -C "$work"
cd "$work"
programs() { go list -f '{{if eq .Name "main"}}{{.Dir}}{{end}}' ./agents/... ./deploy/platypus; }
suite=deploy/platypus/suite names=()
mkdir -p "$suite"
{
	printf 'package main\n\nimport (\n\t"os"\n\t"path/filepath"\n\n'
	for dir in $(programs); do
		names+=("${dir##*/}")
		printf '\t%s "%s/%s"\n' "$(tr -d - <<<"${dir##*/}")" "$module" "${dir#"$work"/}"
	done
	printf ')\n\nvar programs = map[string]func(){\n'
	for name in "${names[@]}"; do printf '\t"%s": %s.Main,\n' "$name" "$(tr -d - <<<"$name")"; done
	cat <<'END'
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, known := programs[name]; !known && len(os.Args) > 1 { // platypus-suite NAME …
		name, os.Args = os.Args[1], os.Args[1:]
	}
	program, known := programs[name]
	if !known {
		os.Stderr.WriteString("platypus-suite: there is no program " + name + ": run it by the name of one of its links\n")
		os.Exit(64)
	}
	program()
}
END
} >"$work/main.go.new"
for name in "${names[@]}"; do
	dir=agents/$name package=$(tr -d - <<<"$name")
	[ -d "$dir" ] || dir=deploy/platypus
	sed -i "s/^package main\$/package $package/; s/^func main()/func Main()/" "$dir"/*.go
done
mv "$work/main.go.new" "$suite/main.go"
CGO_ENABLED=0 go build -trimpath -o "$out/platypus-suite" -ldflags "-s -w \
	-X $module/agents/internal/agent.Version=$version -X $module/deploy/platypus.Version=$version" "./$suite"
for name in "${names[@]}"; do ln -sfn platypus-suite "$out/$name"; done
