# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free loopback ports, held until just before they are used.

They are taken from below the kernel's ephemeral range. A port inside that range can be given to
any outgoing connection while its member is down; a client that keeps knocking on it may even be
connected to itself instead of being refused.
"""

from __future__ import annotations

import random
import socket
import typing as t
from types import TracebackType

from .errors import HarnessError

HOST = "127.0.0.1"

_FIRST = 10000
_TRIES = 200
_EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"


class Reservation:
    """Bound sockets that keep their ports from everybody else until `release`."""

    def __init__(self, sockets: t.List[socket.socket]) -> None:
        self._sockets = sockets
        self.ports: t.List[int] = [held.getsockname()[1] for held in sockets]

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self,
        kind: t.Optional[t.Type[BaseException]],
        error: t.Optional[BaseException],
        trace: t.Optional[TracebackType],
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let the ports go, for whoever they were reserved for."""
        while self._sockets:
            self._sockets.pop().close()


def reserve(count: int) -> Reservation:
    """Reserve `count` different TCP ports of the loopback address, all at once."""
    held: t.List[socket.socket] = []
    for port in random.SystemRandom().sample(_candidates(), _TRIES):
        if len(held) == count:
            break
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.bind((HOST, port))
        except OSError:
            sock.close()
        else:
            held.append(sock)
    reservation = Reservation(held)
    if len(held) < count:
        reservation.release()
        raise HarnessError(f"no {count} free ports on {HOST} after {_TRIES} tries")
    return reservation


def free_port() -> int:
    """One port that was free a moment ago."""
    with reserve(1) as reservation:
        return reservation.ports[0]


def new_peer_url() -> str:
    """A peer URL that was free a moment ago, for a member that is still to be added."""
    return f"http://{HOST}:{free_port()}"


def _candidates() -> range:
    try:
        with open(_EPHEMERAL, encoding="ascii") as file:
            ephemeral = int(file.read().split()[0])
    except FileNotFoundError:
        ephemeral = 32768
    if ephemeral >= _FIRST + 10 * _TRIES:
        return range(_FIRST, ephemeral)
    return range(_FIRST, 60000)
