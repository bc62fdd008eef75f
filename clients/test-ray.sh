#!/bin/sh
# pgc_ray on two nodes of this machine, in a network of their own, since Ray binds the machine's addresses.
set -eu
cd "$(dirname "$0")/.."
for program in unshare ip; do
    command -v $program >/dev/null || { echo "$program is missing: install util-linux and iproute2" >&2; exit 1; }
done
sh clients/setup.sh
log=out/clients/ray.log
if ! unshare -rn sh -c 'ip link set lo up && RAY_USAGE_STATS_ENABLED=0 PYTHONPATH=clients/python exec timeout 300 out/clients/venv/bin/python "$@"' - \
    clients/python/tests/ray_node_lost.py bin/demo models/paligemma/demo/pictures/05-purple.png >$log 2>&1; then
    cat $log >&2
    exit 1
fi
grep -E '^(the cluster|a node was killed|every row|[0-9]+ rows)' $log
echo "1 passed, 0 failed"
