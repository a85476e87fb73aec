#!/bin/sh
# Puts the programs and the units of a build or of an unpacked release onto this machine, as `make install` does.
set -eu
case ${1-} in
-h | --help) echo "usage: ${0##*/} [DESTDIR [PREFIX]]   (default: this machine, below /usr/local)" && exit 0 ;;
-*) echo "usage: ${0##*/} [DESTDIR [PREFIX]]" >&2 && exit 64 ;;
esac
destdir=${1-} prefix=${2:-/usr/local}
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/bin # of a release; in a checkout it lies one level up
[ -d "$bin" ] || bin=$here/../bin
[ -e "$bin/platypus" ] || { echo "${0##*/}: there is no $bin/platypus: run make build first" >&2; exit 1; }
lib=$destdir$prefix/lib/platypus
mkdir -p "$lib" "$destdir$prefix/bin"
for program in "$bin"/*; do
	name=${program##*/}
	if [ -L "$program" ]; then
		cp -P "$program" "$lib/$name" # a name of platypus-suite
	else
		install -m 755 "$program" "$lib/$name"
	fi
done
ln -sfn ../lib/platypus/platypus "$destdir$prefix/bin/platypus"
if [ -d "$here/share" ]; then mkdir -p "$destdir$prefix/share" && cp -R "$here/share/." "$destdir$prefix/share/"; fi
[ -e "$destdir/etc/platypus/env" ] || install -D -m 644 "$here/env" "$destdir/etc/platypus/env"
# Units and run scripts name the programs of the Debian package; here they name those that were just installed.
rename() {
	mkdir -p "$(dirname "$3")"
	sed -e "s|/usr/lib/platypus/|$prefix/lib/platypus/|g; s|/usr/bin/platypus|$prefix/bin/platypus|g" "$2" >"$3"
	chmod "$1" "$3"
}
for unit in "$here"/systemd/*.service; do rename 644 "$unit" "$destdir/etc/systemd/system/${unit##*/}"; done
for run in "$here"/runit/*/run "$here"/runit/*/log/run; do
	rename 755 "$run" "$destdir$prefix/share/platypus/runit/${run#"$here"/runit/}"
done
echo "installed below $destdir$prefix; nothing is enabled: systemctl daemon-reload && systemctl enable --now platypus-preparer …"
echo "most of them run as a user of their own, whose group may use the store: adduser --system --group --no-create-home platypus"
