#!/usr/bin/env bash
# Writes the shell completions and the manual pages that belong to the programs of this checkout.
set -euo pipefail

usage() {
	cat <<END
usage: ${0##*/} [-h] BIN SHARE

Writes below SHARE what /usr/share holds of Platypus: completion for bash, zsh and fish, platypus(1), and a page in
section 8 for each agent. All of it comes from the programs in BIN (see suite.sh), which this machine must be able to run.
END
}
case ${1-} in
-h | --help) usage && exit 0 ;;
'' | -*) usage >&2 && exit 64 ;;
esac
bin=$1 share=${2:?where to write}
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$share/bash-completion/completions" "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d" \
	"$share/man/man1" "$share/man/man8"
"$bin/platypus" completion bash >"$share/bash-completion/completions/platypus"
"$bin/platypus" completion zsh >"$share/zsh/vendor-completions/_platypus"
"$bin/platypus" completion fish >"$share/fish/vendor_completions.d/platypus.fish"

# An agent's page is what its --help prints, set as it stands.
page() { # NAME: the help of that agent on stdin
	printf '.TH PLATYPUS-%s 8 "" "Platypus" "System Administration"\n.SH NAME\nplatypus-%s \\- agent of Platypus\n' "${1^^}" "$1"
	printf '.SH DESCRIPTION\nThe program is /usr/lib/platypus/%s.\n.PP\n.nf\n' "$1"
	sed -e 's/\\/\\e/g' -e "s/^['.]/\\\\\\&&/" -e 's/-/\\-/g'
	printf '.fi\n.SH SEE ALSO\n.BR platypus (1)\n'
}
for program in "$bin"/*; do
	name=${program##*/}
	case $name in platypus | platypus-suite) continue ;; esac
	"$program" --help | page "$name" | gzip -9n >"$share/man/man8/platypus-$name.8.gz"
done
gzip -9nc "$here/deb/platypus.1" >"$share/man/man1/platypus.1.gz"
