# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network for a cluster: a bridge, and a namespace with an address for each member.

A member's link can be cut, and a member's disk, which is a file system in memory, can be filled.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import Cluster, Member
from harness.namespaces import Bridge, NoNamespaces, ip
from harness.ports import HOST

#: Of a member's file system: what etcd writes ahead takes some 128 MB of it.
_DISK = "size=256m"

#: Ways to make a link that delays and loses packets, the best one first: some kernels have no
#: netem. The other is a link with a queue that is longer than what it can hold.
_SLOW_LINKS = (
    ("netem", "delay", "100ms", "50ms", "loss", "5%"),
    ("tbf", "rate", "64kbit", "burst", "1600", "latency", "400ms"),
)

_SETTINGS = (
    # A disk that is full shows when a snapshot is written, so that has to be soon.
    "--snapshot-count=500",
)


class Network(Bridge):
    """A bridge with a namespace for each member, whose names are m1 to m250.

    Attributes:
        slow_link: how this machine makes one; None if it cannot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slow_link: tuple[str, ...] | None = None
        self._spaces: list[str] = []

    def __enter__(self) -> Network:
        super().__enter__()
        try:
            self.plug("m1")
        except (OSError, subprocess.CalledProcessError) as exc:
            self.__exit__()
            raise NoNamespaces(f"no namespace could be made: {exc}") from exc
        for way in _SLOW_LINKS:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                with self._shaped("m1", way):
                    self.slow_link = way
                    break
        return self

    def __exit__(self, *unused: object) -> None:
        for space in self._spaces:
            # By name: connections that end slowly keep a namespace, and what is in it, for a while.
            _try("ip", "link", "del", space)
            _try("ip", "netns", "del", space)
        super().__exit__(*unused)

    def space(self, member: str) -> str:
        """Name of the namespace of a member."""
        return f"{self.name}{member}"

    def address(self, member: str) -> str:
        """Address of a member."""
        return f"{self.network}.{_number(member)}"

    def plug(self, member: str) -> None:
        """Make the namespace of a member, if there is none yet."""
        space = self.space(member)
        if space in self._spaces:
            return
        self._spaces.append(space)
        ip("netns", "add", space)
        self.connect(space, space, _number(member))
        for command in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"{self.address(member)}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            ip("-n", space, *command)

    @contextlib.contextmanager
    def cut(self, member: str) -> Iterator[None]:
        """Nothing comes from or to the member meanwhile."""
        ip("link", "set", self.space(member), "down")
        try:
            yield
        finally:
            ip("link", "set", self.space(member), "up")

    @contextlib.contextmanager
    def slow(self, member: str) -> Iterator[None]:
        """What goes to the member is late meanwhile, and some of it is lost."""
        if self.slow_link is None:
            raise NoNamespaces("this machine makes no slow links")
        with self._shaped(member, self.slow_link):
            yield

    @contextlib.contextmanager
    def _shaped(self, member: str, way: tuple[str, ...]) -> Iterator[None]:
        plug = self.space(member)
        shape = ("tc", "qdisc", "replace", "dev", plug, "root", *way)
        subprocess.run(shape, check=True, capture_output=True)
        try:
            yield
        finally:
            _try("tc", "qdisc", "del", "dev", plug, "root")


def _number(member: str) -> int:
    """The last part of a member's address."""
    return int(member[1:]) + 1


class SpacedCluster(Cluster):
    """A cluster whose members live in the namespaces of a network, each with a disk of its own."""

    def __init__(self, network: Network, *arguments: Any, **others: Any) -> None:
        super().__init__(*arguments, extra_args=_SETTINGS, **others)
        self._network = network

    def stop(self) -> None:
        """As that of every cluster; the disks go before the folder does."""
        for member in self.members + self.spares:
            member.kill()
            _try("umount", "--lazy", member.data_dir)
        super().stop()

    def fill_disk(self, member: Member) -> Path:
        """Leave nothing free on a member's disk; its disk is as before when the file is removed."""
        filler = Path(member.data_dir, "filler")
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        return filler

    def _make_member(
        self, name: str, port: int, peer_url: str, initial_cluster: str, *rest: Any, **others: Any
    ) -> Member:
        member = super()._make_member(name, port, peer_url, initial_cluster, *rest, **others)
        self._network.plug(name)
        address = self._network.address(name)
        pairs = [pair.split("=", 1) for pair in initial_cluster.split(",")]
        everybody = ",".join(
            f"{other}={url.replace(HOST, self._network.address(other))}" for other, url in pairs
        )
        member.command = [
            *("ip", "netns", "exec", self._network.space(name)),
            *(
                f"--initial-cluster={everybody}"
                if option.startswith("--initial-cluster=")
                else option.replace(HOST, address)
                for option in member.command
            ),
        ]
        member.endpoint = member.endpoint.replace(HOST, address)
        member.peer_url = member.peer_url.replace(HOST, address)
        Path(member.data_dir).mkdir(mode=0o700)
        mount = ("mount", "-t", "tmpfs", "-o", f"{_DISK},mode=0700", "tmpfs", member.data_dir)
        subprocess.run(mount, check=True)
        return member


def _try(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)
