# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookup: many terms in one query, against an empty task, a loop of lookups, and another's."""

from __future__ import annotations

from dataclasses import replace

import playbook
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import community
from lab import Lab
from table import Check, milliseconds, print_table

EMPTY = "an empty task"
TEMPLATE = "a task that shows 100 texts, no lookup"
ONE = "one term in one query"
QUERY = "100 terms in one query"
LOOP = "100 lookups in a loop"
COMMUNITY = "100 terms, community.general.etcd"

_COUNT = 100
_PLUGIN = "quorum.etcd.etcd_key"
_ENDPOINTS = "endpoints=[endpoint]"
_KEYS = [f"/bench/lookup/{number}" for number in range(_COUNT)]
#: It wants them without their leading slash.
_THEIR_KEYS = [key.lstrip("/") for key in _KEYS]

_OURS = f"query('{_PLUGIN}', *terms, {_ENDPOINTS})"
_THEIRS = "query('community.general.etcd', *terms, url=endpoint, version='v2')"


def run(lab: Lab) -> list[Check]:
    """Measure them in one play."""
    client = Client([lab.endpoint])
    for key in _KEYS:
        client.write(key, f"value of {key}")
    tasks = {
        EMPTY: _debug("nothing"),
        TEMPLATE: _debug("{{ terms }}", terms=_KEYS),
        ONE: _shown(_OURS, [_KEYS[0]]),
        QUERY: _shown(_OURS, _KEYS),
        LOOP: dict(_debug(f"{{{{ lookup('{_PLUGIN}', item, {_ENDPOINTS}) }}}}"), loop=_KEYS),
    }
    why = ""
    try:
        lab = replace(lab, collections=(community.collections_path(),))
    except community.CannotBeHadError as exc:
        why = str(exc)
    else:
        tasks[COMMUNITY] = _shown(_THEIRS, _THEIR_KEYS)
        _check_answers(lab)
    samples = playbook.interleave(lab, tasks, rounds=lab.rounds(20), seconds=90, per_play=4)
    print_table(
        [f"lookup, {samples.rounds} rounds", "median", "time, empty task = 1"],
        [
            [name, milliseconds(samples.median(name)), f"{samples.ratio(name, EMPTY):.2f}"]
            for name in samples.names
        ],
    )
    theirs = samples.ratio(COMMUNITY, QUERY) if COMMUNITY in tasks else None
    return [
        Check("lookup, 100 terms in one query / empty task", samples.ratio(QUERY, EMPTY), 4.0, 3.0),
        Check("lookup, 100 terms / one term", samples.ratio(QUERY, ONE)),
        Check("lookup, loop of 100 / 100 terms in one query", samples.ratio(LOOP, QUERY)),
        Check(f"lookup, {COMMUNITY} / in one query", theirs, must=10.0, least=True, why=why),
    ]


def _check_answers(lab: Lab) -> None:
    """Both lookups give the same values, so that none is fast because it fails.

    Raises:
        RuntimeError: they do not.
    """
    wanted = [f"value of {key}" for key in _KEYS]
    checks = [
        {
            "name": query,
            "ansible.builtin.assert": {"that": [f"{query} == wanted"]},
            "vars": {"terms": terms, "wanted": wanted},
        }
        for query, terms in ((_OURS, _KEYS), (_THEIRS, _THEIR_KEYS))
    ]
    playbook.run(lab, checks)


def _shown(query: str, terms: list[str]) -> dict[str, object]:
    return _debug(f"{{{{ {query} }}}}", terms=terms)


def _debug(message: str, **variables: object) -> dict[str, object]:
    return {"ansible.builtin.debug": {"msg": message}, "vars": variables}
