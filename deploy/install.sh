#!/bin/sh
# install.sh DESTDIR PREFIX: puts the programs of bin/ and the units below PREFIX, as `make install` does.
set -eu
case ${1--h} in -h | --help) echo "usage: ${0##*/} DESTDIR PREFIX" && exit 0 ;; esac
destdir=$1 prefix=${2:?a prefix such as /usr/local}
here=$(cd "$(dirname "$0")" && pwd)
for program in "$here"/../bin/*; do
	case ${program##*/} in
	platypus) install -D -m 755 "$program" "$destdir$prefix/bin/platypus" ;;
	*) install -D -m 755 "$program" "$destdir$prefix/lib/platypus/${program##*/}" ;;
	esac
done
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
echo "the store runs as a user of its own: adduser --system --group --no-create-home platypus"
