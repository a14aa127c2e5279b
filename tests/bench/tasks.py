# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One etcd_key task against a ping and a uri task: in a loop, and its payload run as a file."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import payload
import playbook
from lab import Lab
from table import Check, Contender, interleave, milliseconds, print_table

PING = "ping"
URI = "uri, PUT"
UNCHANGED = "etcd_key, unchanged"
CHANGED = "etcd_key, changed"

_LOOP = 100
_PARTS = 10
_IMPORTS_SHOWN = 15
_IMPORT = re.compile(r"import time: +(\d+) \| +(\d+) \|( +)(\S+)")


def run(lab: Lab) -> list[Check]:
    """Measure both."""
    return _loops(lab) + _payloads(lab)


def _tasks(value: str) -> dict[str, playbook.Task]:
    etcd_key = {"endpoints": ["{{ endpoint }}"], "key": "/bench/task", "value": "production"}
    return {
        PING: {"ansible.builtin.ping": {}},
        URI: {
            "ansible.builtin.uri": {
                "url": "{{ endpoint }}/v2/keys/bench/uri",
                "method": "PUT",
                "body_format": "form-urlencoded",
                "body": {"value": value},
                "status_code": [200, 201],
            }
        },
        UNCHANGED: {"quorum.etcd.etcd_key": etcd_key},
        CHANGED: {"quorum.etcd.etcd_key": dict(etcd_key, key="/bench/changed", value=value)},
    }


def _loops(lab: Lab) -> list[Check]:
    """A loop of 100 of each, in interleaved parts."""
    rounds = 2 if lab.quick else _PARTS
    count = _LOOP // _PARTS
    tasks = {
        name: dict(task, loop=list(range(count))) for name, task in _tasks("{{ item }}").items()
    }
    samples = playbook.interleave(lab, tasks, rounds=rounds, seconds=100)
    print_table(
        [f"{samples.rounds} loops of {count} tasks", "one task", "time, ping = 1"],
        [
            [
                name,
                milliseconds(samples.median(name) / count),
                f"{samples.ratio(name, PING):.2f}",
            ]
            for name in samples.names
        ],
    )
    return [
        Check(f"time of a task in a loop, {name} / {other}", samples.ratio(name, other))
        for name in (UNCHANGED, CHANGED)
        for other in (PING, URI)
    ]


def _payloads(lab: Lab) -> list[Check]:
    """What runs on the managed host, without Ansible's own work on the controller."""
    files = {name: [payload.made(lab, task)] for name, task in _tasks("a").items()}
    files[CHANGED].append(payload.made(lab, _tasks("b")[CHANGED]))
    samples = interleave(
        {name: _runs(paths) for name, paths in files.items()}, rounds=lab.rounds(40), seconds=60
    )
    print_table(
        [
            f"a module's payload, run as a file, {samples.rounds} rounds",
            "median",
            "time, ping = 1",
            "size",
        ],
        [
            [
                name,
                milliseconds(samples.median(name)),
                f"{samples.ratio(name, PING):.2f}",
                f"{files[name][0].stat().st_size / 1024:.0f} KB",
            ]
            for name in samples.names
        ],
    )
    _print_imports(files[UNCHANGED][0])
    return [
        Check("payload, etcd_key unchanged / ping", samples.ratio(UNCHANGED, PING), 1.35, 1.2),
        Check("payload, etcd_key changed / ping", samples.ratio(CHANGED, PING), 1.35, 1.2),
        Check("payload, etcd_key changed / uri", samples.ratio(CHANGED, URI), 1.0),
    ]


def _runs(paths: Iterable[Path]) -> Contender:
    """Run the files in turn, as whole processes."""
    turn = itertools.cycle(paths)

    def contender() -> None:
        subprocess.run(
            [sys.executable, str(next(turn))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )

    return contender


def _print_imports(file: Path) -> None:
    """Which imports of the payload took longest, with all that they import themselves."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", str(file)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = _IMPORT.findall(ended.stderr)
    slowest = sorted(found, key=lambda one: -int(one[1]))[:_IMPORTS_SHOWN]
    print_table(
        [f"slowest of {len(found)} imports of etcd_key", "with its own imports", "alone"],
        [
            [name.replace("ansible_collections.quorum.etcd.plugins.", "..."), *times]
            for name, times in (
                (one[3], [milliseconds(int(one[place]) / 1e6) for place in (1, 0)])
                for one in slowest
            )
        ],
    )
