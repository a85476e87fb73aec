#!/usr/bin/env bash
# Prints the version of this checkout: the newest tag, plus the number of commits since it and the commit, such as
# 1.4.0+12.g31c8c0f. Each commit counts up, so that dpkg and people see which of two builds is newer.
set -euo pipefail
case ${1-} in
-h | --help) sed -n '2,3s/^# //p' "$0" && exit 0 ;;
?*) echo "usage: ${0##*/} [-h]" >&2 && exit 64 ;;
esac
cd "$(dirname "$0")/.."

if ! commit=$(git rev-parse --short HEAD 2>/dev/null); then
	echo 0.0.0+unknown
	exit 0
fi
tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || tag=
since=$(git rev-list --count "${tag:+$tag..}HEAD")
version=${tag#v}
if [ -z "$tag" ] || [ "$since" != 0 ]; then version=${version:-0.0.0}+$since.g$commit; fi
# Programs of a changed checkout are not those of the commit.
git diff --quiet HEAD -- 2>/dev/null || case $version in *+*) version+=.dirty ;; *) version+=+dirty ;; esac
echo "$version"
