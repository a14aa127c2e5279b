# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a client takes to its first and second success when its first endpoint is down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Cluster, FaultProxy, Member
from lab import Lab, cluster
from table import Check, Rounds, Samples, milliseconds, print_table

NORMAL = "all endpoints answer"
REFUSED = "the first refuses"
BLACK_HOLED = "the first is black-holed"
STOPPED = "the first is stopped"
STALLED = "the first stalls in mid-answer"

FIRST_READ = "first: quorum read"
THEN_WRITE = "then: write"
FIRST_WRITE = "first: write"

_KEY = "/bench/failover"
_HEDGE_DELAY = 0.1

Endpoints = list[str]
Fault = Callable[[], AbstractContextManager[Endpoints]]


def run(lab: Lab) -> list[Check]:
    """Measure on a cluster of three."""
    with cluster(lab.binary, 3) as three:
        faults = _faults(three)
        columns = {
            column: Samples(tuple(faults)) for column in (FIRST_READ, THEN_WRITE, FIRST_WRITE)
        }
        for number in Rounds(lab.rounds(12) + 1, seconds=30):
            for name, fault in faults.items():
                with fault() as endpoints:
                    taken = _first_and_second(endpoints)
                    if name not in (BLACK_HOLED, STOPPED, STALLED):
                        # There a write waits for the connection or for the answer: it is not raced.
                        taken[FIRST_WRITE] = _seconds(lambda: Client(endpoints).write(_KEY, "c"))
                if number > 0:
                    for column, seconds in taken.items():
                        columns[column].add(name, seconds)
    _print(columns, tuple(faults))
    return _checks(columns)


def _faults(three: Cluster) -> dict[str, Fault]:
    """How to bring each fault about, for as long as it is needed, and the endpoints to be given."""
    leader = three.leader()
    # Without its leader the cluster would be electing one, which is another matter.
    victim, follower = (member for member in three.members if member is not leader)
    rest = [leader.endpoint, follower.endpoint]

    @contextlib.contextmanager
    def none() -> Iterator[Endpoints]:
        yield [victim.endpoint, *rest]

    def proxy(mode: str) -> Fault:
        @contextlib.contextmanager
        def broken() -> Iterator[Endpoints]:
            with FaultProxy(victim.endpoint, mode) as before:
                yield [before.url, *rest]

        return broken

    @contextlib.contextmanager
    def stopped() -> Iterator[Endpoints]:
        with _paused(victim):
            yield [victim.endpoint, *rest]

    return {
        NORMAL: none,
        REFUSED: proxy("refuse"),
        BLACK_HOLED: proxy("blackhole"),
        STALLED: proxy("stall"),
        STOPPED: stopped,
    }


@contextlib.contextmanager
def _paused(member: Member) -> Iterator[None]:
    member.pause()
    try:
        yield
    finally:
        member.resume()
        member.wait_healthy()


def _first_and_second(endpoints: Endpoints) -> dict[str, float]:
    """What a task does: a quorum read, then a write, with a client of its own."""
    Client(endpoints[1:]).write(_KEY, "a")
    client = Client(endpoints, hedge_delay=_HEDGE_DELAY)
    return {
        FIRST_READ: _seconds(lambda: client.read(_KEY, quorum=True)),
        THEN_WRITE: _seconds(lambda: client.write(_KEY, "b")),
    }


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _print(columns: dict[str, Samples], faults: tuple[str, ...]) -> None:
    print_table(
        [f"three endpoints, {columns[FIRST_READ].rounds} rounds", *columns],
        [
            [
                fault,
                *(
                    milliseconds(samples.median(fault)) if samples.measured(fault) else "-"
                    for samples in columns.values()
                ),
            ]
            for fault in faults
        ],
    )
    print("  -: not measured; a write is not raced, and waits for as long as its timeouts say.\n")


def _checks(columns: dict[str, Samples]) -> list[Check]:
    read, write = columns[FIRST_READ], columns[FIRST_WRITE]
    hedged = (_HEDGE_DELAY + 0.05) * 1000
    checks = [
        _milliseconds(
            "first read, first endpoint refuses, over normal", read.excess(REFUSED, NORMAL), 5
        ),
        _milliseconds(
            "first write, first endpoint refuses, over normal", write.excess(REFUSED, NORMAL), 5
        ),
        _milliseconds("first read, first endpoint black-holed", read.median(BLACK_HOLED), hedged),
        _milliseconds("first read, first endpoint stopped", read.median(STOPPED), hedged),
        _milliseconds("first read, first endpoint stalls", read.median(STALLED), hedged),
    ]
    for fault in (REFUSED, BLACK_HOLED, STOPPED, STALLED):
        excess = columns[THEN_WRITE].excess(fault, NORMAL)
        checks.append(_milliseconds(f"second operation, {fault}, over normal", excess, 5))
    return checks


def _milliseconds(what: str, seconds: float, most: float) -> Check:
    return Check(what, seconds * 1000, most, unit="ms")
