#!/usr/bin/env bash
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What `make demo` runs: the example playbook against a throwaway three-node etcd cluster, twice, and
# a third time after the node that the client asks first was killed. Checks the recap of each run.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
python=$root/.venv/bin/python
work=$root/.cache/demo
state=$work/state.json

# The demo shows the collection, not the settings of whoever runs it.
for name in $(compgen -e | grep -E '^(ANSIBLE_|ETCD|PYTHONPATH$)' || true); do unset "$name"; done
export ANSIBLE_COLLECTIONS_PATH=$root/.cache/tree ANSIBLE_HOME=$work/ansible
export ANSIBLE_CONFIG=$work/ansible.cfg ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false

say() { printf '\n==> %s\n' "$1"; }
fail() { printf '\nFAILED: %s\n' "$1" >&2; exit 1; }

# shellcheck disable=SC2317  # called by the trap
cleanup() {
    if [ -e "$state" ]; then
        say "Stopping the cluster"
        "$python" tests/harness stop --state "$state" || true
    fi
}

# Prints three lines: the endpoints as JSON, the first of them, the name of its member.
describe_cluster() {
    "$python" - "$state" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    cluster = json.load(file)
first = cluster["endpoints"][0]
print(json.dumps(cluster["endpoints"]))
print(first)
print(next(member["name"] for member in cluster["members"] if member["endpoint"] == first))
PYTHON
}

# run NUMBER CHANGED TITLE: runs the playbook; CHANGED is a pattern for the recap's number of changes.
run() {
    say "Run $1: $3"
    "$root/.venv/bin/ansible-playbook" -i localhost, examples/demo.yml \
        -e "{\"etcd_endpoints\": $endpoints}" -e "{\"demo_output\": \"$work\"}" 2>&1 | tee "$work/run$1.log" ||
        fail "run $1: the playbook failed"
    grep -Eq "^localhost +: .*changed=$2 +unreachable=0 +failed=0 " "$work/run$1.log" ||
        fail "run $1: the recap must match changed=$2 failed=0"
}

rm -rf "$work"
mkdir -p "$work"
: >"$ANSIBLE_CONFIG"
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "Starting a throwaway three-node etcd cluster on loopback"
"$python" tests/harness start --state "$state" --binary auto --size 3 >/dev/null
{ read -r endpoints; read -r first_endpoint; read -r first; } < <(describe_cluster)
echo "endpoints: $endpoints"

run 1 '[1-9][0-9]*' "everything is new, so tasks report changed"
run 2 0 "nothing is different, so nothing changes"

say "Killing the node that the client asks first: $first at $first_endpoint"
"$python" tests/harness member --state "$state" "$first" kill >/dev/null
run 3 0 "one node is dead; the client uses the others"

say "The configuration that the template wrote, .cache/demo/app.conf"
cat "$work/app.conf"
say "Done: changed, then unchanged, then unchanged with $first dead"
