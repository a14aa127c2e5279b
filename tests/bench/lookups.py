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
QUERY = "100 terms in one query"
LOOP = "100 lookups in a loop"

_COUNT = 100
_ENDPOINTS = "endpoints=[endpoint]"
_KEYS = f"range({_COUNT}) | map('regex_replace', '^', '/bench/lookup/') | list"


def run(lab: Lab) -> list[Check]:
    """Measure them in one play."""
    client = Client([lab.endpoint])
    for number in range(_COUNT):
        client.write(f"/bench/lookup/{number}", f"value {number}")
    plugin = "'quorum.etcd.etcd_key'"
    tasks = {
        EMPTY: _debug("nothing"),
        QUERY: _debug(f"{{{{ query({plugin}, *({_KEYS}), {_ENDPOINTS}) | length }}}}"),
        LOOP: dict(
            _debug(f"{{{{ lookup({plugin}, '/bench/lookup/' ~ item, {_ENDPOINTS}) }}}}"),
            loop=list(range(_COUNT)),
        ),
    }
    samples = playbook.one_after_the_other(lab, tasks, rounds=lab.rounds(20))
    print_table(
        ["lookup", "median", "time, empty task = 1"],
        [
            [name, milliseconds(samples.median(name)), f"{samples.ratio(name, EMPTY):.2f}"]
            for name in samples.names
        ],
    )
    return [
        Check("lookup, 100 terms in one query / empty task", samples.ratio(QUERY, EMPTY), 4.0, 3.0),
        Check("lookup, loop of 100 / 100 terms in one query", samples.ratio(LOOP, QUERY)),
    ]


def _debug(message: str) -> dict[str, object]:
    return {"ansible.builtin.debug": {"msg": message}}
