package main

// initReadme explains the files of intent, because JSON has no comments.
const initReadme = `# APP: what runs where

Each file below intent/ is one key of the store, and its content the value. CI or a person applies the directory:

    platypus validate intent/           # every mistake, with its line
    platypus plan intent/               # what would change, and on which host
    platypus apply -m WHY intent/       # asks on a terminal; --yes answers

| file | what it says |
|---|---|
| intent/nodes/NODE/APP.json | the node NODE runs APP, as part of the cluster CLUSTER; one file for each node |
| intent/clusters/APP/CLUSTER/config.json | what developers decide. "user_config" is handed to the app, in the file that PLATYPUS_CONFIG names. "min_nodes" is how many nodes stay healthy during a switch. "versions" is left out on purpose, see below |
| intent/clusters/APP/CLUSTER/deploy_config.json | what operators decide, since it steers root: "basedir", under which everything of APP is; "ports", opened in the firewall; "health", how to tell that it works; "run_as", the user that it runs as |

platypus schema prints every member that there is. No file holds a secret: the store is clear text.

## Releases

The files say where APP runs and how; which version runs is decided by rollouts, and the store holds the decision. A file
that leaves "versions" out leaves the versions in the store as they are, so this directory may be applied at any time.

    ./release.sh v1 build/              # packs build/, which holds bin/launch; uploads it; rolls it out
    platypus rollback APP               # the version before
    platypus export APP                 # what the store declares of APP now, versions included

## In CI

On a push to the main branch, with the store's address in CONSUL_HTTP_ADDR and a token in CONSUL_HTTP_TOKEN_FILE (the policy
is what "platypus acl developer APP/CLUSTER" prints; deploy_config and nodes need "platypus acl operator"):

    make build                                        # whatever makes build/bin/launch
    platypus apply --yes -m "$CI_COMMIT" intent/      # exit code 0: done
    ./release.sh "$CI_COMMIT" build/                  # exit code 2: some node could not go live with it
`

// initRelease packs, uploads and rolls out a version.
const initRelease = `#!/bin/sh
# release.sh VERSION BUILD: packs the directory BUILD, which holds bin/launch, as APP VERSION; uploads it; rolls it out.
# REPO is the repository that preparer fetches from (its --repo): a directory here, or what UPLOAD copies a file into.
set -eu
[ $# -eq 2 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 64; }
version=$1 build=$2 repo=${REPO:-./repo}
[ -x "$build/bin/launch" ] || { echo "release.sh: $build/bin/launch is missing or not executable" >&2; exit 1; }
mkdir -p "$repo/APP"
name=APP_$version.tar.gz
# The same build gives the same archive: sorted, without the times and owners of this machine.
tar -C "$build" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . | gzip -n >"$repo/APP/.$name"
digest=$(sha256sum "$repo/APP/.$name" | cut -d ' ' -f 1)
mv "$repo/APP/.$name" "$repo/APP/$name"
echo "$digest  $name" >"$repo/APP/$name.sha256"
# Where the repository is a web server, copy the two files there now, such as:
#   rsync "$repo/APP/$name" "$repo/APP/$name.sha256" artifacts.example.net:/srv/artifacts/APP/
platypus rollout APP "$version" --cluster CLUSTER --sha256 "$digest" ${WAIT---wait}
`
