#!/usr/bin/env bash
# Builds what a release consists of: static tarballs, checksums, a list of what is inside, and a signature.
set -euo pipefail

usage() {
	cat <<END
usage: ${0##*/} [-h] [DIR]

Writes into DIR (default: dist), for linux on amd64 and arm64:

  platypus_VERSION_linux_ARCH.tar.gz   every program, units, run scripts, completion, manual pages
  platypus_VERSION_sbom.cdx.json       the modules that the programs are built from (CycloneDX)
  SHA256SUMS                           digests of all of these
  SHA256SUMS.minisig                   a signature over the digests, when MINISIGN_KEY names a secret key

The same commit gives the same files. Check a download with: minisign -Vm SHA256SUMS -P KEY && sha256sum -c SHA256SUMS

  VERSION        version of the release (default: what scripts/version.sh prints)
  ARCHS          architectures to build for (default: amd64 arm64)
  MINISIGN_KEY   file of an unencrypted minisign key, as minisign -GW makes it
END
}
case ${1-} in
-h | --help) usage && exit 0 ;;
-*) usage >&2 && exit 64 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../dist}
mkdir -p "$out" && out=$(cd "$out" && pwd)
cd "$here/.."
sbom_tool=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
export VERSION=${VERSION:-$(scripts/version.sh)}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
if [ -n "${MINISIGN_KEY-}" ] && ! command -v minisign >/dev/null; then
	echo "release: MINISIGN_KEY is set and minisign is missing: apt-get install minisign" >&2
	exit 1
fi
say() { echo "release: $*" >&2; }

say "building for this machine"
GOARCH=$(go env GOHOSTARCH) deploy/suite.sh "$work/native"
deploy/pages.sh "$work/native" "$work/share"

made=()
for arch in ${ARCHS:-amd64 arm64}; do
	name=platypus_${VERSION}_linux_$arch
	say "building $name.tar.gz"
	mkdir -p "$work/$name"
	if [ "$arch" = "$(go env GOHOSTARCH)" ]; then
		cp -a "$work/native" "$work/$name/bin"
	else
		GOARCH=$arch deploy/suite.sh "$work/$name/bin"
	fi
	cp -r "$work/share" "$work/$name/share"
	cp -r deploy/systemd deploy/runit deploy/prometheus deploy/grafana deploy/env deploy/install.sh README.md LICENSE "$work/$name/"
	tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - "$name" |
		gzip -9n >"$out/$name.tar.gz"
	made+=("$name.tar.gz")
done

say "listing what is inside"
sbom=platypus_${VERSION}_sbom.cdx.json
(GOFLAGS= GOWORK=off GOOS='' GOARCH='' go run "$sbom_tool" bin -json -noserial -version "$VERSION" -output "$out/$sbom" "$work/native/platypus-suite") ||
	{ say "the list of modules could not be made"; exit 1; }
sed -i "s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$(date -ud "@$SOURCE_DATE_EPOCH" +%FT%TZ)\"/" "$out/$sbom"
made+=("$sbom")

cd "$out"
sha256sum "${made[@]}" >SHA256SUMS
if [ -n "${MINISIGN_KEY-}" ]; then
	say "signing SHA256SUMS"
	minisign -S -s "$MINISIGN_KEY" -m SHA256SUMS </dev/null >&2
else
	rm -f SHA256SUMS.minisig
	say "not signed: MINISIGN_KEY names no key"
fi
printf '%s\n' "${made[@]/#/$out/}" "$out/SHA256SUMS"
