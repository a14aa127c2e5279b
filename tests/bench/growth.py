# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How etcd_tree grows with its keys, in time and memory: the module's process, without Ansible."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable
from pathlib import Path

import load
import payload
import trees
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from lab import Lab
from table import Check, exponent, milliseconds, print_table, rate

FIRST, UNCHANGED = "first run", "unchanged"

#: Keys of a tree -> rounds.
_ROUNDS = {0: 9, 100: 5, 1000: 9, 10000: 5, 100000: 2}

#: With fewer keys there is nothing to see but how a process starts.
_FITTED = (1000, 10000, 100000)

#: What growth in proportion to the keys may come out as on a machine that does other things too.
_STRAIGHT = 1.1

_MEMORY_LIMIT = 400.0
_MB = 1e6

_CONNECTIONS = (1, 2, 4, 8, load.CONNECTIONS, 32, 64)
_SIDE_BY_SIDE = 5000

Measure = Callable[[payload.Taken], float]
Found = dict[tuple[int, str], list[payload.Taken]]


def run(lab: Lab) -> list[Check]:
    """Measure trees from none to 100,000 keys, and numbers of connections."""
    source = lab.scratch / "source.json"
    checks = _checks(_sizes(lab, source))
    _connections(lab, source)
    return checks


def _sizes(lab: Lab, source: Path) -> Found:
    program = _payload(lab, source)
    found: Found = {(count, how): [] for count in _ROUNDS for how in (FIRST, UNCHANGED)}
    for count, rounds in _ROUNDS.items():
        shutil.copy(trees.file(lab.scratch, count), source)
        for unused in range(1 if lab.quick else rounds):
            trees.remove(Client([lab.endpoint]))
            for how, writes in ((FIRST, max(count, 1)), (UNCHANGED, 0)):
                found[count, how].append(_run(lab, program, writes))
    _print(found)
    return found


def _payload(lab: Lab, source: Path, **options: object) -> Path:
    """What makes the tree equal to whatever the file holds when it is run; it holds nothing yet."""
    shutil.copy(trees.file(lab.scratch, 0), source)
    task = {
        "endpoints": ["{{ endpoint }}"],
        "path": trees.PATH,
        "src": str(source),
        "remote_src": True,
    }
    return payload.made(lab, {"quorum.etcd.etcd_tree": task | options})


def _run(lab: Lab, program: Path, writes: int) -> payload.Taken:
    """Run it.

    Raises:
        RuntimeError: it did not write as much as it was to.
    """
    before = _index(lab)
    taken = payload.measured(program)
    if _index(lab) - before != writes:
        raise RuntimeError(f"{_index(lab) - before} writes instead of {writes}")
    return taken


def _index(lab: Lab) -> int:
    return Client([lab.endpoint]).read("/").x_etcd_index or 0


def _print(found: Found) -> None:
    rows = []
    for (count, how), taken in found.items():
        seconds, empty = _median(found, count, how, _seconds), _median(found, 0, how, _seconds)
        memory = _median(found, count, how, _memory)
        above = memory - _median(found, 0, how, _memory)
        rows.append(
            [
                f"{count:,} keys, {how}",
                str(len(taken)),
                milliseconds(seconds),
                f"{(seconds - empty) / count * 1e6:.0f} us" if count else "",
                f"{memory / _MB:.1f} MB",
                f"{above / count:,.0f} B" if count else "",
            ]
        )
    print_table(
        ["etcd_tree's process", "runs", "median", "for a key", "peak memory", "for a key"], rows
    )
    print("  For a key: above what a tree without keys takes.\n")


def _checks(found: Found) -> list[Check]:
    checks = []
    largest = _FITTED[-1]
    for how in (FIRST, UNCHANGED):
        peak = max(map(_memory, found[largest, how])) / _MB
        checks += [
            Check(f"peak memory, {largest:,} keys, {how}", peak, _MEMORY_LIMIT, unit="MB"),
            _power(found, f"time above that of no keys, {how}", how, _seconds),
            _power(found, f"memory above that of no keys, {how}", how, _memory),
        ]
    return checks


def _power(found: Found, what: str, how: str, measure: Measure) -> Check:
    """That it grows in proportion to the keys."""
    empty = _median(found, 0, how, measure)
    points = [(count, _median(found, count, how, measure) - empty) for count in _FITTED]
    known = all(above > 0 for unused, above in points)
    return Check(
        f"{what}: the power of the keys that it grows with",
        exponent(points) if known else None,
        _STRAIGHT,
        why="with few keys it was lost among what a process takes to start",
    )


def _median(found: Found, count: int, how: str, measure: Measure) -> float:
    return statistics.median(map(measure, found[count, how]))


def _seconds(taken: payload.Taken) -> float:
    return taken.seconds


def _memory(taken: payload.Taken) -> float:
    return taken.memory


def _connections(lab: Lab, source: Path) -> None:
    """How many writes are best under way at once: where `concurrency` has its default from."""
    programs = {number: _payload(lab, source, concurrency=number) for number in _CONNECTIONS}
    shutil.copy(trees.file(lab.scratch, _SIDE_BY_SIDE), source)
    seconds: dict[int, list[float]] = {number: [] for number in _CONNECTIONS}
    for unused in range(lab.rounds(5)):
        for number, program in programs.items():
            trees.remove(Client([lab.endpoint]))
            seconds[number].append(_run(lab, program, _SIDE_BY_SIDE).seconds)
    medians = {number: statistics.median(taken) for number, taken in seconds.items()}
    print_table(
        [f"etcd_tree's process, {_SIDE_BY_SIDE:,} keys, first run", "median", "rate"],
        [
            [f"concurrency: {number}", milliseconds(median), rate(median / _SIDE_BY_SIDE)]
            for number, median in medians.items()
        ],
    )
