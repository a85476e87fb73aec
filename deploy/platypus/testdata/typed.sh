# The lines that the documentation promises. What stands around them makes an artifact, ends what was started, and looks at
# what became of it.
set -eu
mkdir -p srv repo/slug pack/bin
printf '#!/bin/sh\nexec sleep 1000000\n' >pack/bin/launch && chmod +x pack/bin/launch
for v in v1 v2 v3; do tar czf repo/slug/slug_$v.tar.gz -C pack bin; done
cat >release.json <<END
{"nodes/stage1/slug": {"cluster": "production"},
 "clusters/slug/production/config": {"versions": {"v1": "active"}},
 "clusters/slug/production/deploy_config": {"basedir": "$PWD/srv/slug", "require": "none"}}
END
bin/recorder --node r1 --state-dir state/recorder >recorder.log 2>&1 &
recorder=$!
trap 'kill $recorder; wait $recorder' EXIT
recorded() { # waits until the newest commit is that one
	for i in $(seq 600); do
		if [ "$(bin/platypus log -n 1 2>/dev/null | awk 'END {print $1}')" = "$1" ]; then return; fi
		sleep 0.1
	done
	cat recorder.log >&2
	return 1
}

bin/platypus apply -m "release 42" release.json && bin/platypus log -o json
consul kv put platypus/intent/clusters/slug/production/config '{"versions": {"v1": "prep", "v2": "active"}}'
recorded 2
consul kv put platypus/intent/clusters/slug/production/config '{"versions": {"v2": "prep", "v3": "active"}}'
recorded 3
bin/platypus diff 1 3 && bin/platypus cat clusters/slug/production/config@1 && bin/platypus revert 3 -m "back"
consul kv get platypus/intent/clusters/slug/production/config | grep '"v2": "active"'
bin/platypus fork staging && bin/preparer --root platypus/forks/staging/ --node stage1 --repo "file://$PWD/repo" --state-dir state/preparer --once
test -d srv/slug/installs/slug_v2
bin/platypus --root platypus/forks/staging/ rollout slug v3
bin/preparer --root platypus/forks/staging/ --node stage1 --repo "file://$PWD/repo" --state-dir state/preparer --once
test -d srv/slug/installs/slug_v3
bin/platypus join staging -m "ship it"
consul kv get platypus/intent/clusters/slug/production/config | grep '"v3": *"active"'
bin/platypus log | grep 'join .*ship it'

bin/platypus history mirror intent.git
bin/platypus history export --onto intent.git | git -C intent.git fast-import --quiet
test "$(git -C intent.git rev-list --count intent)" = "$(bin/platypus log | awk 'NR == 2 {print $1}')"
