# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A load on a real cluster while it is being broken, and a check of all that clients were told.

``make chaos`` starts it. The last line of its output says what was seen.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from .alike import EQUAL_COUNTER
from .checker import check
from .clock import Clock, ClockHeld
from harness import Cluster, FaultProxy
from harness.binaries import Binary, find
from harness.namespaces import NoNamespaces
from .history import History, Kind, Operation, Outcome, Violation
from .lifetimes import GRACE
from .load import LAST, Load, leaves
from .membership import Membership
from .nemesis import Nemesis
from .network import Network, SpacedCluster
from .observer import Observer
from .workers import COUNTER, LONGEST_TTL, ROOT, SHORT

_SHOWN = 10
_SETTLED = 60.0

#: Members that a cluster needs so that it can do without one.
_ENOUGH = 3


def main() -> int:
    """Run it on each server that there is, or on some."""
    parser = argparse.ArgumentParser(description="Breaks a cluster and checks what clients say.")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--seconds", type=float, default=60.0, help="of load (default: 60)")
    parser.add_argument("--members", type=int, default=3, help="of the cluster (default: 3)")
    parser.add_argument("--etcd", default="", help="only servers whose version begins so")
    parser.add_argument("--clock", action="store_true", help="step the clock of the machine, too")
    parser.add_argument("--first", action="store_true", help="the first server only")
    arguments = parser.parse_args()
    binaries = [one for one in find() if one.version.startswith(arguments.etcd)]
    if not binaries:
        print("FAILED: no etcd older than 3.6 was found")
        return 1
    failed = False
    said = []
    for binary in binaries[:1] if arguments.first else binaries:
        print(f"==> etcd {binary.version}, {arguments.members} members, seed {arguments.seed}")
        try:
            figures, violations = _round(binary, arguments)
        except ClockHeld as exc:
            print(f"FAILED: {exc}")
            return 1
        for violation in violations[:_SHOWN]:
            print(f"    {violation.rule}: {violation.what}")
        failed = failed or bool(violations)
        said.append(f"{binary.version}: {figures}, {len(violations)} violations")
        print(f"    {said[-1]}", flush=True)
    print(f"{'FAILED, ' if failed else ''}seed {arguments.seed}; {'; '.join(said)}")
    return int(failed)


def _round(binary: Binary, arguments: argparse.Namespace) -> tuple[str, list[Violation]]:
    with ExitStack() as stack:
        clock = stack.enter_context(Clock()) if arguments.clock else None
        network = None
        try:
            network = stack.enter_context(Network())
            cluster = stack.enter_context(SpacedCluster(network, binary, arguments.members))
        except NoNamespaces as exc:
            print(f"    on loopback, without faults of network and disks: {exc}")
            cluster = stack.enter_context(Cluster(binary, arguments.members))
        if network is not None and network.slow_link is None:
            print("    without slow links: tc makes none here")
        if arguments.members >= _ENOUGH:
            cluster.add_spare(f"m{arguments.members + 1}")
        endpoints = [member.endpoint for member in cluster.members + cluster.spares]
        proxies = [stack.enter_context(FaultProxy(url)) for url in endpoints]
        ways = [[proxy.url for proxy in proxies], endpoints]

        def endpoints_of(number: int) -> list[str]:
            # Half of them go through the proxies, and each knows the members in another order.
            urls = list(ways[number % 2])
            random.Random(f"{arguments.seed} {number}").shuffle(urls)
            return urls

        quiet = Client(endpoints)
        own = [_write(quiet, f"{ROOT}/first", "first")]
        observer = Observer(endpoints, ROOT, LAST)
        load = Load(arguments.seed, endpoints_of, Path(cluster.directory))
        nemesis = Nemesis(arguments.seed, cluster, proxies, network, clock)
        membership = Membership(arguments.seed, cluster, Client(endpoints), nemesis.at_work)
        try:
            nemesis.run(arguments.seconds)
        finally:
            membership.end()
            load.end()
            membership.join()
        cluster.wait_healthy(_SETTLED)
        # What was given up on may still be carried out.
        time.sleep(3.0)
        if clock is None:
            _wait_for_short_lives(quiet)
        own.append(_write(quiet, LAST, "last"))
        ended = time.monotonic()
        final = dict(leaves(quiet.read(ROOT, recursive=True, quorum=True)))
        membership.look()
        events = observer.finish(cluster.endpoints, _SETTLED)
        load.join(_SETTLED)
    history = History(
        operations=(*load.operations, *own),
        events=events,
        final=final,
        watched=tuple(load.watched),
        counters=(COUNTER, EQUAL_COUNTER),
        ended=ended,
        clock_moved=clock is not None,
        membership=tuple(membership.happened),
    )
    faults = load.faults + membership.faults
    broken = [
        *[Violation("an exception that nobody expects", text) for text in faults],
        *[Violation("the observer missed events", str(gap)) for gap in observer.missed()],
        *[Violation("two servers tell different events", text) for text in observer.disagreements],
    ]
    injected = sorted(nemesis.injected + membership.made, key=lambda one: one[1])
    violations = broken + check(history)
    if violations:
        for what, began, over in injected:
            print(f"    from {began:.3f} to {over:.3f}: {what}")
    return _figures(history, [what for what, *_unused in injected]), violations


def _wait_for_short_lives(client: Client) -> None:
    """Until all keys with a TTL have gone, or must have gone."""
    deadline = time.monotonic() + GRACE + LONGEST_TTL + 1.0
    while time.monotonic() < deadline:
        there = leaves(client.read(ROOT, recursive=True, quorum=True))
        if not any(key.startswith(f"{SHORT}/") for key, unused in there):
            return
        time.sleep(0.1)


def _write(client: Client, key: str, value: str) -> Operation:
    """What the run itself writes, which the checker has to know of as well."""
    began = time.monotonic()
    index = client.write(key, value).node.modified_index
    return Operation(
        "run", Kind.WRITE, key, began, time.monotonic(), Outcome.DONE, value=value, index=index
    )


def _figures(history: History, injected: list[str]) -> str:
    outcomes = collections.Counter(one.outcome for one in history.operations)
    faults = ", ".join(
        f"{name} {count}" for name, count in sorted(collections.Counter(injected).items())
    )
    hidden = sum(event.hidden for event in history.events)
    return (
        f"{len(history.operations)} operations, {len(history.events)} events"
        f" ({hidden} hidden by a server),"
        f" {len(injected)} faults ({faults}),"
        f" {outcomes[Outcome.NOT_DONE]} not done, {outcomes[Outcome.UNKNOWN]} unknown,"
        f" longest pause {_longest_pause(history.operations):.1f} s"
    )


def _longest_pause(operations: tuple[Operation, ...]) -> float:
    """The longest time in which no client had any quorum read answered."""
    ends = sorted(
        one.ended for one in operations if one.kind is Kind.READ and one.outcome is Outcome.DONE
    )
    return max((later - earlier for earlier, later in zip(ends, ends[1:])), default=0.0)


if __name__ == "__main__":
    sys.exit(main())
