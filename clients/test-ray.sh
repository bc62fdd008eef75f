#!/bin/sh
# pgc_ray on two nodes of this machine: in a network of their own, since Ray binds the machine's addresses, and among
# processes of their own, so that none is left. Where namespaces are not allowed, it says so and runs without.
set -eu
cd "$(dirname "$0")/.."
for program in unshare ip; do
    command -v $program >/dev/null || { echo "$program is missing: install util-linux and iproute2" >&2; exit 1; }
done
sh clients/setup.sh
log=$PWD/out/clients/ray.log
RAY_TMPDIR=$(mktemp -d /tmp/pgc-ray-XXXXXX) # short, for the names of sockets
export RAY_TMPDIR RAY_gcs_server_port_wait_time_s=120 RAY_USAGE_STATS_ENABLED=0 PYTHONPATH=clients/python PYTHONDONTWRITEBYTECODE=1
trap 'rm -rf "$RAY_TMPDIR"' EXIT
alone="unshare --map-root-user --net --pid --fork --kill-child --mount-proc"
if $alone ip link set lo up 2>/dev/null; then
    up="ip link set lo up"
else
    echo "namespaces are not allowed here: Ray's nodes use this machine's network" >&2
    alone="" up=true
fi
run() {
    $alone sh -c "$up"' && timeout 300 out/clients/venv/bin/python "$@"' - \
        clients/python/tests/ray_node_lost.py bin/demo models/paligemma/demo/pictures/05-purple.png >"$log" 2>&1
}
# On a busy machine Ray's own nodes may start too late for Ray: then once more.
if ! run && { grep -aq '^the cluster' "$log" || ! run; }; then
    grep -av state-dump "$log" >&2
    exit 1
fi
grep -aE '^(the cluster|a node was killed|every row|[0-9]+ rows)' "$log"
echo "1 passed, 0 failed"
