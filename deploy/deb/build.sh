#!/usr/bin/env bash
# Builds the Debian package of Platypus with nothing but Go and dpkg-deb.
set -euo pipefail

usage() {
	cat <<EOF
usage: ${0##*/} [-h] [DIR]

Builds every program and puts them, with units, run scripts, settings, completion and manual pages, into
DIR/platypus_VERSION_ARCH.deb (default DIR: dist). Prints the path of the package. Needs no root.

  VERSION   version of the package and of its programs (default: what scripts/version.sh prints)
  ARCH      amd64 or arm64 (default: this machine's)
  COMPRESS  xz, gzip or none (default: xz)
  LEVEL     how hard it tries, 0 to 9 (default: 6)
EOF
}
case ${1-} in
-h | --help) usage && exit 0 ;;
-*) usage >&2 && exit 64 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
deploy=${here%/deb} top=${here%/deploy/deb}
out=${1:-$top/dist}
mkdir -p "$out" && out=$(cd "$out" && pwd)
cd "$top"
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
export VERSION=${VERSION:-$(scripts/version.sh)}
version=${VERSION/-/\~} # to dpkg 1.0-rc1 would be newer than 1.0
arch=${ARCH:-$(dpkg --print-architecture)}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH # the same commit gives the same package
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

GOARCH=$arch "$deploy/suite.sh" "$root/usr/lib/platypus"
native=$root/usr/lib/platypus
if [ "$arch" != "$(go env GOHOSTARCH)" ]; then
	native=$work/native
	GOARCH=$(go env GOHOSTARCH) "$deploy/suite.sh" "$native"
fi
"$deploy/pages.sh" "$native" "$root/usr/share"

put() { install -D -m "$1" "$2" "$root/$3"; }
put 644 "$deploy/env" etc/platypus/env
put 644 "$deploy/prometheus/alerts.yml" usr/share/platypus/prometheus/alerts.yml
put 644 "$deploy/grafana/platypus.json" usr/share/platypus/grafana/platypus.json
put 644 "$here/lintian-overrides" usr/share/lintian/overrides/platypus
put 644 "$here/copyright" usr/share/doc/platypus/copyright
for unit in "$deploy"/systemd/*.service; do put 644 "$unit" "lib/systemd/system/${unit##*/}"; done
for run in "$deploy"/runit/*/run "$deploy"/runit/*/log/run; do put 755 "$run" "etc/sv/platypus-${run#"$deploy"/runit/}"; done
rm "$root/usr/lib/platypus/platypus"
mkdir -p "$root/usr/bin" && ln -s ../lib/platypus/platypus-suite "$root/usr/bin/platypus"
put 644 "$top/README.md" usr/share/doc/platypus/README.md
for page in "$top"/docs/*.md; do put 644 "$page" "usr/share/doc/platypus/docs/${page##*/}"; done
printf 'platypus (%s) stable; urgency=medium\n\n  * Built from commit %s.\n\n -- Platypus <%s>  %s\n' "$version" "$commit" \
	platypus@platypus-platform.github.io "$(date -uRd "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$root/usr/share/doc/platypus/changelog.gz"

control=$root/DEBIAN
mkdir -p "$control"
(cd "$root" && find etc -type f | sed 's|^|/|' | sort >"$control/conffiles")
(cd "$root" && find etc lib usr -type f -print0 | sort -z | xargs -0 md5sum >"$control/md5sums")
install -m 755 "$here/postinst" "$here/prerm" "$here/postrm" "$control/"
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$(du -sk "$root" | cut -f1)/" "$here/control" >"$control/control"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group "-Z${COMPRESS:-xz}" "-z${LEVEL:-6}" --build "$root" "$out/platypus_${version}_$arch.deb" >&2
echo "$out/platypus_${version}_$arch.deb"
