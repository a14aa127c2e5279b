# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an endpoint is reached: connections that are made, kept and checked, and how they fail.

PRIVATE to the collection: it can change at any time.

Here are those to an http endpoint that is reached directly; `_adapter` has the others.
"""

from __future__ import annotations

import select
import socket
import time
import typing as t
from collections import deque

from ansible_collections.quorum.etcd.plugins.module_utils import _connecting
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    AttemptFailed,
    Endpoint,
    Failure,
)


class Connection(t.Protocol):
    """A connection that a line has made: a socket, and perhaps what made it."""

    sock: t.Any

    def close(self) -> t.Any:
        """End it."""


class Line(t.Protocol):
    """Connections to one endpoint.

    Attributes:
        base: what goes before the path: the endpoint's URL, where a proxy wants it.
        headers: for the proxy.
        waiting: what a socket that does not block raises when it would have to.
    """

    base: str
    headers: t.Mapping[str, str]
    waiting: t.Tuple[t.Type[OSError], ...]

    def take(self) -> t.Optional[Connection]:
        """A connection that is open, if there is one."""

    def make(self, seconds: float) -> Connection:
        """Connect: name resolution, all addresses of the name and TLS included.

        Raises:
            AttemptFailed: there is no connection in this time.
        """

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end."""

    def drop(self, connection: Connection) -> None:
        """End a connection."""

    def no_answer(
        self, exc: OSError, index: t.Optional[int], *, first: bool = False
    ) -> AttemptFailed:
        """What it means that a connection failed after the request was sent.

        Args:
            index: the store's index, from the head of the answer if it came.
            first: whether the connection had carried no byte of an answer before it failed.
        """

    def close(self) -> None:
        """End the connections that are kept."""


class _PlainConnection:
    __slots__ = ("sock",)

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def close(self) -> None:
        self.sock.close()


class PlainLine:
    """Connections to an http endpoint that is reached directly (a `Line`)."""

    base = ""
    headers = {}  # type: t.Mapping[str, str]
    waiting = (BlockingIOError,)  # type: t.Tuple[t.Type[OSError], ...]

    def __init__(self, endpoint: Endpoint, size: int) -> None:
        self._host = _connecting.Host(endpoint.host, endpoint.port)
        self._idle = deque(maxlen=size)  # type: t.Deque[Connection]

    def take(self) -> t.Optional[Connection]:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not readable(connection.sock, 0):
                return connection
            # What can be read before anything was asked is the end of the connection.
            connection.close()

    def make(self, seconds: float) -> Connection:
        deadline = time.monotonic() + seconds
        try:
            addresses = self._host.addresses(seconds)
            sock = _connecting.connect(addresses, max(deadline - time.monotonic(), 0.001))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as exc:
            raise not_connected(exc) from exc
        return _PlainConnection(sock)

    def give_back(self, connection: Connection) -> None:
        self._idle.append(connection)

    def drop(self, connection: Connection) -> None:
        connection.close()

    def no_answer(
        self, exc: OSError, index: t.Optional[int], *, first: bool = False
    ) -> AttemptFailed:
        return no_answer(exc, index)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


#: What a resolver says of a name that does not exist, or has no address.
_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def not_connected(exc: t.Union[OSError, UnicodeError]) -> AttemptFailed:
    """What it means that there is no connection: whether there may be one a moment later."""
    if isinstance(exc, _connecting.NameTimeout):
        return AttemptFailed(Failure.NOT_SENT, str(exc))
    if isinstance(exc, socket.timeout):
        return AttemptFailed(Failure.NOT_SENT, "no connection in time")
    if isinstance(exc, UnicodeError):
        return AttemptFailed(Failure.UNUSABLE, words(exc))
    if isinstance(exc, socket.gaierror) and exc.errno in _NO_SUCH_NAME:
        return AttemptFailed(Failure.UNUSABLE, words(exc))
    return AttemptFailed(Failure.NOT_SENT, words(exc))


def no_answer(exc: OSError, index: t.Optional[int]) -> AttemptFailed:
    """What it means that a connection failed after the request was sent."""
    if isinstance(exc, socket.timeout):
        return AttemptFailed(Failure.TIMEOUT, "no answer in time", index)
    return AttemptFailed(Failure.BROKEN, words(exc), index)


def readable(sock: t.Any, seconds: float) -> bool:
    """Whether bytes, or the end of the connection, can be read within this time."""
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], max(seconds, 0))[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(max(seconds, 0) * 1000))


def words(exc: BaseException) -> str:
    """What an exception says, without object addresses and error numbers."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror[:1].lower() + exc.strerror[1:]
    return str(exc) or type(exc).__name__
