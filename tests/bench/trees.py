# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""etcd_tree against loops of tasks and against the server's own limit; how it grows with the tree."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import load
import playbook
import tasks
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.module_utils.errors import EtcdKeyNotFound
from lab import Lab
from table import Check, Rounds, Samples, exponent, milliseconds, print_table, rate

FIRST = "first run"
UNCHANGED = "unchanged"
CHANGED = "1 % changed"

_PATH = "/bench/tree"
_SIZES = (100, 1_000, 10_000)
_LARGEST = 100_000
_LOOP = 10
_LOOP_OF_OURS = f"loop of etcd_key, {_LOOP} keys"
_LOOP_OF_URI = f"loop of uri, {_LOOP} keys"
_IN_DIRECTORY = 100


def run(lab: Lab) -> list[Check]:
    """Measure both."""
    return _tasks(lab) + _growth(lab)


def _tree(count: int, changed: int = 0) -> dict[str, dict[str, str]]:
    """So many keys with values of 20 to 200 bytes, the first of which differ from another tree's."""
    tree: dict[str, dict[str, str]] = {}
    for number in range(count):
        text = ("new" if number < changed else "old") + f" value {number:08d}"
        value = text.ljust(20 + number * 37 % 181, ".")
        tree.setdefault(f"d{number // _IN_DIRECTORY}", {})[f"k{number}"] = value
    return tree


def _file(lab: Lab, count: int, changed: int = 0) -> str:
    path = lab.scratch / f"tree-{count}-{changed}.json"
    path.write_text(json.dumps(_tree(count, changed)), encoding="utf-8")
    return str(path)


def _tasks(lab: Lab) -> list[Check]:
    """Whole tasks, as a playbook runs them."""
    contenders = _contenders(lab)
    samples = Samples(list(contenders))
    limits: list[float] = []
    limited = _can_load(lab)
    for unused in Rounds(lab.rounds(8), seconds=150):
        for name, taken in playbook.run(
            lab, [dict(task, name=name) for name, task in contenders.items()]
        ):
            samples.add(name, taken)
        if limited:
            limits.append(load.put_rate(lab, seconds=2))
        _remove(lab)
    rows = [[name, milliseconds(samples.median(name)), ""] for name in (tasks.PING,)]
    rows += [
        [name, milliseconds(samples.median(name)), f"{rate(samples.median(name) / _LOOP)}"]
        for name in (_LOOP_OF_OURS, _LOOP_OF_URI)
    ]
    for count in _SIZES:
        for part in (FIRST, UNCHANGED, CHANGED):
            median = samples.median(_name(count, part))
            rows.append([_name(count, part), milliseconds(median), rate(median / count)])
    print_table([f"whole tasks, {samples.rounds} rounds", "median", "keys"], rows)
    print(
        f"  Loops are measured with {_LOOP} keys; their ratios are for as many as the tree has.\n"
    )
    return [
        *_against_loops(samples),
        Check(
            "etcd_tree, 10,000 keys unchanged / ping",
            samples.ratio(_name(10_000, UNCHANGED), tasks.PING),
            3.0,
            2.0,
        ),
        *_against_the_limit(samples, limits),
    ]


def _contenders(lab: Lab) -> dict[str, playbook.Task]:
    """In this order: each tree is written, found as it is, and changed a little."""
    every = range(_LOOP)
    contenders: dict[str, playbook.Task] = {
        tasks.PING: {"ansible.builtin.ping": {}},
        _LOOP_OF_OURS: {
            "quorum.etcd.etcd_key": {
                "endpoints": ["{{ endpoint }}"],
                "key": f"{_PATH}/ours/{{{{ item }}}}",
                "value": "v" * load.VALUE_SIZE,
            },
            "loop": list(every),
        },
        _LOOP_OF_URI: {
            "ansible.builtin.uri": {
                "url": f"{{{{ endpoint }}}}/v2/keys{_PATH}/uri/{{{{ item }}}}",
                "method": "PUT",
                "body_format": "form-urlencoded",
                "body": {"value": "v" * load.VALUE_SIZE},
                "status_code": [200, 201],
            },
            "loop": list(every),
        },
    }
    for count in _SIZES:
        for part, changed in ((FIRST, 0), (UNCHANGED, 0), (CHANGED, count // 100)):
            contenders[_name(count, part)] = {
                "quorum.etcd.etcd_tree": {
                    "endpoints": ["{{ endpoint }}"],
                    "path": f"{_PATH}/{count}",
                    "src": _file(lab, count, changed),
                }
            }
    return contenders


def _name(count: int, part: str) -> str:
    return f"etcd_tree, {count:,} keys, {part}"


def _against_loops(samples: Samples) -> list[Check]:
    checks = []
    for count in _SIZES:
        for loop in (_LOOP_OF_OURS, _LOOP_OF_URI):
            faster = samples.ratio(loop, _name(count, FIRST)) * count / _LOOP
            must, beyond = (50.0, 60.0) if (count, loop) == (100, _LOOP_OF_OURS) else (None, None)
            what = f"{loop.partition(',')[0]} / {_name(count, FIRST)}"
            checks.append(Check(what, faster, must, beyond, least=True))
    return checks


def _can_load(lab: Lab) -> bool:
    try:
        load.put_rate(lab, seconds=1)
    except load.CannotBeHadError as exc:
        print(f"  Not measured against the server's own limit: {exc}\n")
        return False
    return True


def _against_the_limit(samples: Samples, limits: list[float]) -> list[Check]:
    if not limits:
        return []
    name = _name(10_000, FIRST)
    reached = 10_000 / samples.median(name) / statistics.median(limits)
    what = f"{name}: keys a second / PUT rate of wrk, {load.CONNECTIONS} connections"
    return [Check(what, reached, 0.15, 0.5, least=True)]


def _remove(lab: Lab) -> None:
    try:
        Client([lab.endpoint], timeout=60, total_timeout=120).rmdir(_PATH, recursive=True)
    except EtcdKeyNotFound:
        return


#: Runs a payload and leaves the peak of its resident memory, in KB, in a file. (What the system says
#: to the parent would include what the parent itself had when it forked.)
_WITNESS = """
import atexit, os, runpy

def leave_peak():
    with open("/proc/self/status") as status, open(os.environ["PEAK"], "w") as peak:
        peak.write(next(line for line in status if line.startswith("VmHWM:")).split()[1])

atexit.register(leave_peak)
runpy.run_path(os.environ["PAYLOAD"], run_name="__main__")
"""


class _Run(NamedTuple):
    """One run of the module's process."""

    seconds: float
    megabytes: float


def _growth(lab: Lab) -> list[Check]:
    """The module's process alone, the tree's file on its own host: time and memory."""
    sizes = (*_SIZES, _LARGEST)
    found: dict[tuple[int, str], list[_Run]] = {}
    payloads = {count: _payload(lab, count) for count in (1, *sizes)}
    _remove(lab)
    for unused in Rounds(lab.rounds(3), seconds=120):
        for count, payload in payloads.items():
            for part in (FIRST, UNCHANGED):
                found.setdefault((count, part), []).append(_process(lab, payload))
            _remove(lab)
    medians = {
        which: _Run(*(statistics.median(one) for one in zip(*runs)))
        for which, runs in found.items()
    }
    print_table(
        [f"process of etcd_tree, {len(found[1, FIRST])} rounds", "keys", "time", "peak memory"],
        [
            [part, f"{count:,}", milliseconds(one.seconds), f"{one.megabytes:,.0f} MB"]
            for (count, part), one in medians.items()
        ],
    )
    checks = []
    for part in (FIRST, UNCHANGED):
        start, thousand, most = (medians[count, part] for count in (1, 1_000, _LARGEST))
        points = [(count, medians[count, part].seconds - start.seconds) for count in sizes[1:]]
        grown = (most.megabytes - thousand.megabytes) * 1024 / (_LARGEST - 1_000)
        checks += [
            Check(f"{part}: time grows with the keys to the power of", exponent(points), 1.1),
            Check(f"{part}: peak memory, 100,000 keys", most.megabytes, 400.0, unit="MB"),
            Check(f"{part}: memory for each key more", grown, unit="KB"),
        ]
    return checks


def _payload(lab: Lab, count: int) -> Path:
    task = {
        "quorum.etcd.etcd_tree": {
            "endpoints": ["{{ endpoint }}"],
            "path": f"{_PATH}/{count}",
            "src": _file(lab, count),
            "remote_src": True,
        }
    }
    return tasks.payload(lab, task)


def _process(lab: Lab, payload: Path) -> _Run:
    said = lab.scratch / "peak"
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", _WITNESS],
        env=dict(os.environ, PAYLOAD=str(payload), PEAK=str(said)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=300,
    )
    return _Run(time.perf_counter() - began, int(said.read_text(encoding="ascii")) / 1024)
