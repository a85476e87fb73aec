#!/usr/bin/env bash
# Installs what the demo, the tests and the benchmarks use beside Go, on Debian and its relatives.
set -euo pipefail

# sets        package       command          what skips itself without it
table='
demo,test,bench runit        runsvdir         runit stories (setlive)
demo,test,bench iproute2     ip               network namespaces (port-authority)
demo,test,bench iptables     iptables-restore firewall stories (port-authority)
test            nftables     nft              hosts that nftables filters (port-authority)
test            firewalld    firewalld        hosts that firewalld filters (port-authority)
test            ufw          ufw              hosts that ufw filters (port-authority)
demo,test,bench procps       ps               stories that count processes
demo,test,bench curl         curl             stories that look at the store as a user does
test,bench      systemd      systemctl        systemd stories (setlive), unit checks (deploy)
test,bench      dbus         dbus-daemon      systemd stories (setlive)
test            dbus-bin     dbus-send        systemd stories (setlive)
test,faults     strace       strace           fault injection at the N-th system call
test            python3      /usr/bin/python3 locks of other users, an app that serves files (agents)
test            jq           jq               stories that read JSON as a user does
test,bench      chromium     chromium         stories of the page in a real browser (dashboard)
test            clang        clang            seeds written in C (seed-placer)
test            lld          wasm-ld          seeds written in C (seed-placer)
test            wasi-libc    /usr/include/wasm32-wasi seeds written in C (seed-placer)
test            libclang-rt-14-dev-wasm32 /usr/lib/llvm-14/lib/clang/14.0.6/lib/wasi seeds written in C (seed-placer)
test,bench      nginx-light  nginx            the story of a real web server
test,bench      redis-server redis-server     the story of a real database
test            prometheus   promtool         checks of metrics and alert rules
test,deb        adduser      adduser          installing the .deb
test,release    minisign      minisign         signing a release
deb             lintian      lintian          lint of the .deb
race            gcc          gcc              the race detector
race            libc6-dev    /usr/include/stdlib.h the race detector
'

usage() {
	cat <<EOF
usage: ${0##*/} [-h] [demo|test|bench|faults|race|deb|release]...

Installs the Debian packages that are missing for the sets named (default: test). Asks apt-get only when something
is missing, never starts or enables a daemon. Not root, or no apt-get: prints what to run and what will be skipped,
and succeeds, because every test that needs one of these skips itself without it.
EOF
}

sets=()
for arg; do
	case $arg in
	demo | test | bench | faults | race | deb | release) sets+=("$arg") ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 64 ;;
	esac
done
[ ${#sets[@]} -gt 0 ] || sets=(test)
# What root uses lies in sbin, which is not on everybody's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=() skipped=
look() {
	missing=() skipped=
	local in package command why set
	while read -r in package command why; do
		[ -n "$in" ] || continue
		for set in "${sets[@]}"; do
			case ",$in," in *",$set,"*) ;; *) continue ;; esac
			[ -e "$command" ] || command -v "$command" >/dev/null || {
				missing+=("$package")
				skipped+="  $package: $why"$'\n'
			}
			break
		done
	done <<<"$table"
}

tell() {
	printf 'deps: %s\n%sdeps: to install:\n  %s\n' "$1; these skip themselves:" "$skipped" \
		"apt-get install --no-install-recommends ${missing[*]}" >&2
}

# While packages are installed, maintainer scripts ask this file whether they may start a daemon.
policy=/usr/sbin/policy-rc.d
forbid_starts() {
	[ ! -e "$policy.platypus" ] || mv "$policy.platypus" "$policy" # left by an earlier run that was killed
	local answer=0
	if [ -x "$policy" ]; then "$policy" platypus start >/dev/null 2>&1 || answer=$?; fi
	[ "$answer" -ne 101 ] || return 0
	[ ! -e "$policy" ] || mv "$policy" "$policy.platypus"
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"; [ ! -e "$policy.platypus" ] || mv "$policy.platypus" "$policy"' EXIT
}

# Packages enable their daemon for the next boot; a machine that runs tests did not ask for that.
wants=/etc/systemd/system/multi-user.target.wants
enabled() { find "$wants" -name '*.service' -printf '%f\n' 2>/dev/null | sort; }
disable_new() {
	local unit
	comm -13 <(echo "$1") <(enabled) | while read -r unit; do
		systemctl disable --quiet "$unit" >>"$log" 2>&1 || rm -f "$wants/$unit"
		update-rc.d "${unit%.service}" disable >>"$log" 2>&1 || true
	done
}

look
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	tell "not root, or no apt-get"
	exit 0
fi
# Two at once: the second waits, and then finds the work done.
if command -v flock >/dev/null; then
	exec 9>/run/platypus-deps.lock && flock 9
	look
	[ ${#missing[@]} -gt 0 ] || exit 0
fi
echo "deps: installing ${missing[*]}" >&2
wanted=("${missing[@]}")
forbid_starts
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
before=$(enabled)
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
# A fresh list is fetched only when the one here does not do. Each package has its own try after that, so that one
# that is gone from the archive does not take the others with it.
if ! apt install -y --no-install-recommends "${wanted[@]}"; then
	apt update || true
	apt install -y --no-install-recommends "${wanted[@]}" ||
		for package in "${wanted[@]}"; do apt install -y --no-install-recommends "$package" || true; done
fi
disable_new "$before"
hash -r
look
if [ ${#missing[@]} -gt 0 ]; then
	tail -n 5 "$log" >&2
	tell "apt-get did not bring everything"
fi
rm -f "$log"
