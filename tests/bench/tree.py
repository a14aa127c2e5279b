# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole trees in one task, against loops with a task for each key and the server's own limit."""

from __future__ import annotations

import load
import playbook
import trees
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from lab import Lab
from table import Check, Rounds, Samples, milliseconds, print_table, rate

_WARM_UP = "warm-up"
PING = "ping"
ETCD_KEY = "etcd_key"
URI = "uri"
WRK = f"wrk, {load.CONNECTIONS} connections"

#: The runs of each tree, in this order, and whether one is to change anything.
FIRST, UNCHANGED, CHANGED = "first run", "unchanged", "1 % changed"
_RUNS = {FIRST: True, UNCHANGED: False, CHANGED: True}

_SIZES = (100, 1000, 10000)

#: Loops of 10,000 tasks would take an hour each: theirs are short, and their time is taken per key.
_LOOPED = 20

_LOOP_PATH = "/bench/loop"


def run(lab: Lab) -> list[Check]:
    """Measure all of it in each round: a play with the tasks, and then the load generator."""
    tasks = _tasks(lab)
    samples = Samples((*tasks, WRK))
    client, why = Client([lab.endpoint]), ""
    for unused in Rounds(lab.rounds(6), seconds=150):
        for path in (trees.PATH, _LOOP_PATH):
            trees.remove(client, path)
        for timed in playbook.run(lab, [dict(task, name=name) for name, task in tasks.items()]):
            _check_changed(timed)
            samples.add(timed.name, timed.seconds)
        try:
            samples.add(WRK, 1 / load.put_rate(lab))
        except load.CannotBeHadError as exc:
            why = str(exc)
    _print(samples)
    return _checks(samples, why)


def _tasks(lab: Lab) -> dict[str, playbook.Task]:
    """All tasks of a round, by name."""
    tasks: dict[str, playbook.Task] = {
        # What a play does for its first task only.
        _WARM_UP: {"ansible.builtin.ping": {}},
        PING: {"ansible.builtin.ping": {}},
        ETCD_KEY: {
            "quorum.etcd.etcd_key": {
                "endpoints": ["{{ endpoint }}"],
                "key": f"{_LOOP_PATH}/{{{{ item }}}}",
                "value": "v" * load.VALUE_SIZE,
            },
            "loop": list(range(_LOOPED)),
        },
        URI: {
            "ansible.builtin.uri": {
                "url": f"{{{{ endpoint }}}}/v2/keys{_LOOP_PATH}/{{{{ item }}}}",
                "method": "PUT",
                "body_format": "form-urlencoded",
                "body": {"value": "w" * load.VALUE_SIZE},
                "status_code": [200, 201],
            },
            "loop": list(range(_LOOPED)),
        },
    }
    for count in _SIZES:
        for how in _RUNS:
            source = trees.file(lab.scratch, count, changed=how == CHANGED)
            tasks[_name(count, how)] = {
                "quorum.etcd.etcd_tree": {
                    "endpoints": ["{{ endpoint }}"],
                    "path": f"{trees.PATH}/{count}",
                    "src": str(source),
                }
            }
    return tasks


def _name(count: int, how: str) -> str:
    return f"etcd_tree, {count:,} keys, {how}"


def _check_changed(timed: playbook.Timed) -> None:
    """That a tree was written is what makes its time worth something.

    Raises:
        RuntimeError: it was not, or it was when nothing was to be done.
    """
    for how, changes in _RUNS.items():
        if timed.name.endswith(how) and timed.changed is not changes:
            raise RuntimeError(f"{timed.name}: changed is {timed.changed}")


def _print(samples: Samples) -> None:
    keys = {ETCD_KEY: _LOOPED, URI: _LOOPED}
    keys.update({_name(count, how): count for count in _SIZES for how in _RUNS})
    rows = [[PING, milliseconds(samples.median(PING)), "", "", ""]]
    for name, count in keys.items():
        title = f"a loop of {count} {name}" if name in (ETCD_KEY, URI) else name
        seconds = samples.median(name)
        times = [f"{_times(samples, loop, name, count):,.1f}" for loop in (ETCD_KEY, URI)]
        rows.append([title, milliseconds(seconds), rate(seconds / count), *times])
    if samples.measured(WRK):
        rows.append([WRK, "", rate(samples.median(WRK)), "", ""])
    head = [f"{samples.rounds} rounds", "median", "keys"]
    print_table([*head, *(f"{loop} loop / it" for loop in (ETCD_KEY, URI))], rows)
    print(f"  The loops have {_LOOPED} items; for as many keys as a tree, it is extrapolated.\n")


def _times(samples: Samples, loop: str, name: str, count: int) -> float:
    """How many times as long a loop of so many tasks takes."""
    return samples.ratio(loop, name) * count / _LOOPED


def _checks(samples: Samples, why: str) -> list[Check]:
    checks = []
    for count in _SIZES:
        for loop in (ETCD_KEY, URI):
            checks.append(
                Check(
                    f"time, {loop} in a loop of {count:,} / etcd_tree, first run",
                    _times(samples, loop, _name(count, FIRST), count),
                    must=50 if (loop, count) == (ETCD_KEY, 100) else None,
                    beyond=60 if (loop, count) == (ETCD_KEY, 100) else None,
                    least=True,
                )
            )
    large = _SIZES[-1]
    for how, must, beyond in ((UNCHANGED, 3, 2), (CHANGED, None, None)):
        ratio = samples.ratio(_name(large, how), PING)
        checks.append(Check(f"time, etcd_tree, {large:,} keys, {how} / ping", ratio, must, beyond))
    written = samples.ratio(WRK, _name(large, FIRST)) * large if samples.measured(WRK) else None
    what = f"PUT rate, etcd_tree task, {large:,} keys, first run / {WRK}"
    return [*checks, Check(what, written, must=0.15, beyond=0.5, least=True, why=why)]
