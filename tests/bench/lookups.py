# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup: many terms in one query, against an empty task and against a loop of lookups."""

from __future__ import annotations

import playbook
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from lab import Lab
from table import Check, milliseconds, print_table

EMPTY = "an empty task"
ONE = "one term in one query"
QUERY = "100 terms in one query"
LOOP = "100 lookups in a loop"

_COUNT = 100
_ENDPOINTS = "endpoints=[endpoint]"
_KEYS = [f"/bench/lookup/{number}" for number in range(_COUNT)]


def run(lab: Lab) -> list[Check]:
    """Measure them in one play."""
    client = Client([lab.endpoint])
    for key in _KEYS:
        client.write(key, f"value of {key}")
    plugin = "'quorum.etcd.etcd_key'"
    tasks = {
        EMPTY: _debug("nothing"),
        ONE: _debug(f"{{{{ query({plugin}, '{_KEYS[0]}', {_ENDPOINTS}) | length }}}}"),
        QUERY: _debug(f"{{{{ query({plugin}, *terms, {_ENDPOINTS}) | length }}}}", terms=_KEYS),
        LOOP: dict(_debug(f"{{{{ lookup({plugin}, item, {_ENDPOINTS}) }}}}"), loop=_KEYS),
    }
    samples = playbook.interleave(lab, tasks, rounds=lab.rounds(20), seconds=40, per_play=4)
    print_table(
        [f"lookup, {samples.rounds} rounds", "median", "time, empty task = 1"],
        [
            [name, milliseconds(samples.median(name)), f"{samples.ratio(name, EMPTY):.2f}"]
            for name in samples.names
        ],
    )
    return [
        Check("lookup, 100 terms in one query / empty task", samples.ratio(QUERY, EMPTY), 4.0, 3.0),
        Check("lookup, 100 terms / one term", samples.ratio(QUERY, ONE)),
        Check("lookup, loop of 100 / 100 terms in one query", samples.ratio(LOOP, QUERY)),
    ]


def _debug(message: str, **variables: object) -> dict[str, object]:
    return {"ansible.builtin.debug": {"msg": message}, "vars": variables}
