#!/bin/sh
# pack.sh REPO APP VERSION DIR: packs DIR (which holds bin/launch) as REPO/APP/APP_VERSION.tar.gz with its .sha256 beside it.
set -eu
[ $# -eq 4 ] || { sed -n '2s/^# //p' "$0" >&2; exit 64; }
repo=$1 app=$2 version=$3 dir=$4
[ -x "$dir/bin/launch" ] || { echo "pack.sh: $dir/bin/launch is missing or not executable" >&2; exit 1; }
mkdir -p "$repo/$app"
name=${app}_$version.tar.gz
tar -C "$dir" --owner=0 --group=0 -czf "$repo/$app/.$name" .
(cd "$repo/$app" && mv ".$name" "$name" && sha256sum "$name" >"$name.sha256")
echo "$repo/$app/$name"
