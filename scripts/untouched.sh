#!/usr/bin/env bash
# Runs a command and fails when it leaves something on this machine where agents work: services, apps, firewall rules.
set -euo pipefail
case ${1--h} in
-h | --help) echo "usage: ${0##*/} COMMAND [ARG…]" && exit 0 ;;
esac
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

state() {
	find /etc/service /etc/sv /etc/platypus /etc/systemd/system /run/systemd/system /srv /var/lib/platypus \
		/var/service /var/service-stage -maxdepth 3 2>/dev/null | sort || true
	find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'platypus*' | sort
	ip netns list 2>/dev/null || true
	for save in iptables-save iptables-legacy-save; do "$save" -t filter 2>/dev/null | grep PLATYPUS || true; done
}

before=$(state)
"$@"
if ! left=$(diff <(echo "$before") <(state)); then
	printf 'left behind or taken away on this machine (> left, < gone):\n%s\n' "$left" >&2
	exit 1
fi
