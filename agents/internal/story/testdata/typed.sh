# The lines of the README's reference, as they are typed, on a machine of their own: own mounts, own network.
# The folder this starts in holds bin/ and repo/. It stops at the first line that fails.
set -eux
here=$PWD
ip link set lo up
mount --make-rprivate /
mount --bind "$here" /mnt
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /var
mkdir -p /var/lib /var/service /var/service-stage
mkdir -p /tmp/local-repo
cp -r /mnt/repo/. /tmp/local-repo/
cd /mnt
export XTABLES_LOCKFILE=/tmp/xtables.lock

bin/platypus store --data /tmp/s --listen 127.0.0.1:8500 &
store=$!
runsvdir /var/service >/dev/null 2>&1 &
runsvdir=$!
trap 'kill $store; kill -HUP $runsvdir; wait' EXIT
export CONSUL_HTTP_ADDR=127.0.0.1:8500 CONSUL_HTTP_TOKEN_FILE=/tmp/s/token
for i in $(seq 1000); do curl -sf "$CONSUL_HTTP_ADDR/v1/status/leader" && break; sleep 0.1; done

consul kv put platypus/intent/nodes/web1/slug '{"cluster":"development"}'
cat >release.json <<'END'
{
  "clusters/slug/development/config": {"versions": {"56d459e7": "active", "e928e5ad": "prep"}},
  "clusters/slug/development/deploy_config": {"basedir": "/tmp/slug", "ports": [1212, 1231]}
}
END
bin/platypus plan release.json || test $? = 2
bin/platypus apply -m "release 42" release.json
bin/setlive --node web1 --runit /var/service --runit-stage /var/service-stage --once
bin/preparer --node web1 --repo file:///tmp/local-repo/ --once
bin/port-authority --node web1 --once
bin/setlive --node web1 --runit /var/service --runit-stage /var/service-stage --once
bin/platypus status --node web1 -o json
bin/platypus plan release.json
iptables-save | grep -- '--dport 1212'
test "$(readlink /tmp/slug/current)" = /tmp/slug/installs/slug_56d459e7
test -s /var/service/slug/supervise/pid

# The tree of 2014, at the top of the store.
consul kv put nodes/web1/slug '{"cluster":"development"}'
consul kv put clusters/slug/development/config '{"min_nodes":0,"user_config":{"some_value":"hello"},"versions":{"e928e5ad":"active"}}'
consul kv put clusters/slug/development/deploy_config '{"basedir":"/tmp/slug","ports":[1212,1231]}'
bin/preparer --root "" --node web1 --repo file:///tmp/local-repo/ --once
bin/setlive -root "" -node web1 -runit /var/service -runit-stage /var/service-stage -once
test "$(readlink /tmp/slug/current)" = /tmp/slug/installs/slug_e928e5ad
consul kv get -recurse platypus/status/
