# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong meanwhile: members, their network and their disks, and answers on the way."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from harness import Cluster, FaultProxy, HarnessError, Member

from .clock import Clock
from .network import Network, SpacedCluster

#: Seconds that a fault lasts, and that the cluster is left alone after it.
_LASTS = (0.5, 2.5)
_REST = (0.5, 2.0)

_CLOCK = "the clock steps"

#: Seconds that the clock steps, forth or back.
_STEPS = (2.0, 120.0)

#: Seconds to look for a leader; there is none to be found while the one that leads is removed.
_NO_LEADER = 2.0


class Nemesis:
    """Faults one after the other, chosen by the seed.

    Args:
        network: of the cluster, if it has one of its own.
        clock: if it may be moved.

    Attributes:
        injected: each fault, with when it began and when all was well again.
        at_work: held from the beginning of a fault until all members are healthy again.
    """

    def __init__(
        self,
        seed: str,
        cluster: Cluster,
        proxies: list[FaultProxy],
        network: Network | None,
        clock: Clock | None,
    ) -> None:
        self._random = random.Random(f"{seed} nemesis")
        self._cluster = cluster
        self._proxies = proxies
        self.at_work = threading.Lock()
        self.injected: list[tuple[str, float, float]] = []
        self._faults: dict[str, Callable[[], None]] = {
            "a member dies": lambda: self._die([self._any()]),
            "the leader dies": lambda: self._die([self._leader()]),
            "a member stalls": lambda: self._stall(self._any()),
            "the leader stalls": lambda: self._stall(self._leader()),
            "all members die": lambda: self._die(cluster.members),
            "answers are lost after the commit": lambda: self._on_the_way("cut_after_forward"),
            "errors come after the commit": lambda: self._on_the_way("error_after_commit"),
            "requests are reset": lambda: self._on_the_way("reset"),
            "requests are late": lambda: self._on_the_way("delay", delay=0.5),
            "answers break off": lambda: self._on_the_way("truncate"),
        }
        if network is not None and isinstance(cluster, SpacedCluster):
            self._faults |= {
                "the leader is cut off": lambda: self._cut(network, self._leader()),
                "a member is cut off": lambda: self._cut(network, self._any()),
                "a link loses packets": lambda: self._flap(network, self._any()),
                "a disk is full": lambda: self._fill(cluster, self._any()),
            }
        if network is not None and network.slow_link is not None:
            self._faults |= {
                "a link is slow": lambda: self._slow(network, self._any()),
                "the leader's link is slow": lambda: self._slow(network, self._leader()),
            }
        if clock is not None:
            self._faults[_CLOCK] = lambda: self._step(clock)

    def run(self, seconds: float) -> None:
        """Each fault at least once if there is time, in an order of its own."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            names = list(self._faults)
            self._random.shuffle(names)
            # It was asked for, so it comes first.
            names.sort(key=lambda name: name != _CLOCK)
            for name in names:
                if time.monotonic() >= deadline:
                    return
                with self.at_work:
                    began = time.monotonic()
                    self._faults[name]()
                    self._cluster.wait_healthy(60.0)
                    self.injected.append((name, began, time.monotonic()))
                time.sleep(self._random.uniform(*_REST))

    def _any(self) -> Member:
        return self._random.choice(self._cluster.members)

    def _leader(self) -> Member:
        try:
            return self._cluster.leader(_NO_LEADER)
        except HarnessError:
            return self._any()

    def _last(self) -> None:
        time.sleep(self._random.uniform(*_LASTS))

    def _die(self, members: list[Member]) -> None:
        for member in members:
            member.kill()
        self._last()
        for member in members:
            member.start()

    def _stall(self, member: Member) -> None:
        member.pause()
        self._last()
        member.resume()

    def _cut(self, network: Network, member: Member) -> None:
        with network.cut(member.name):
            self._last()

    def _flap(self, network: Network, member: Member) -> None:
        """A link that is down every now and then loses what is on its way."""
        for unused in range(self._random.randint(5, 15)):
            with network.cut(member.name):
                time.sleep(self._random.uniform(0.01, 0.1))
            time.sleep(self._random.uniform(0.01, 0.2))

    def _slow(self, network: Network, member: Member) -> None:
        with network.slow(member.name):
            self._last()

    def _step(self, clock: Clock) -> None:
        with clock.wrong(self._random.choice((-1, 1)) * self._random.uniform(*_STEPS)):
            self._last()

    def _fill(self, cluster: SpacedCluster, member: Member) -> None:
        """A member whose disk is full ends when it is to write a snapshot."""
        filler = cluster.fill_disk(member)
        self._last()
        filler.unlink()
        if member.pid is None:
            member.kill()
            member.start()

    def _on_the_way(self, mode: str, **about: float) -> None:
        """On all ways but one, by which the cluster can be asked what became of it."""
        spared = self._any().endpoint
        chosen = [proxy for proxy in self._proxies if proxy.upstream_url != spared]
        for proxy in chosen:
            proxy.set_mode(mode, times=self._random.randint(2, 8), **about)
        self._last()
        for proxy in chosen:
            proxy.set_mode("pass")
