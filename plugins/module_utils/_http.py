# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request to one endpoint, over kept-alive connections.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import socket
import threading
import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _lines, _messages
from ansible_collections.quorum.etcd.plugins.module_utils._results import header_number
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    AttemptFailed,
    Endpoint,
    Kind,
    Patience,
    Request,
    Tls,
)

#: Bytes to read of an answer before the clock is looked at again.
_PIECE = 1 << 16

#: How an endpoint is reached, and the headers of every request to it.
_Way = t.Tuple[_lines.Line, str]


class Http:
    """Sends requests; thread-safe, as the lines are.

    Args:
        tls: trust and identity for https endpoints.
        authorization: value of the Authorization header, or None.
        use_proxy: whether the environment's proxy settings apply.
        connections: how many connections to one endpoint are kept.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        tls: Tls,
        authorization: t.Optional[str] = None,
        use_proxy: bool = False,
        connections: int = 64,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._tls = tls
        self._use_proxy = use_proxy
        self._clock = clock
        self._headers = {"User-Agent": "quorum.etcd", "Accept-Encoding": "identity"}
        if authorization is not None:
            self._headers["Authorization"] = authorization
        self._connections = connections
        self._adapter = None  # type: t.Any
        self._ways = {}  # type: t.Dict[Endpoint, _Way]

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """Send the request once and return the answer, whatever its status.

        Raises:
            AttemptFailed: there was no whole answer.
            ClientException: a certificate or key file cannot be used.
            MissingLibrary: requests is needed and not installed.
        """
        way = self._way(endpoint)
        connection = way[0].take() or way[0].make(patience.connect)
        return self._send(way, connection, endpoint, request, patience).finish()

    def begin(
        self, endpoint: Endpoint, request: Request, patience: Patience
    ) -> t.Optional["Exchange"]:
        """Send a request that may be sent twice, if a connection is open, and do not wait.

        Returns:
            None if no connection to this endpoint is open, or the one that was has broken.
        """
        way = self._ways.get(endpoint)
        connection = None if way is None else way[0].take()
        if way is None or connection is None:
            return None
        try:
            return self._send(way, connection, endpoint, request, patience)
        except AttemptFailed:
            return None

    def exchange_all(
        self,
        endpoint: Endpoint,
        requests: t.Iterator[t.Tuple[t.Any, Request]],
        patience: Patience,
        connections: int,
    ) -> t.Iterator[t.Tuple[t.Any, t.Union[Answer, AttemptFailed]]]:
        """Send each request once, side by side over this many connections.

        Yields each request's mark with its answer, as they come. Once one has had no whole answer,
        no further request is taken.

        Raises:
            AttemptFailed: there is no connection, and no request was taken.
            ClientException, MissingLibrary: as `exchange`.
        """
        # Imported here because few tasks need it, and each one pays for what is imported.
        from ansible_collections.quorum.etcd.plugins.module_utils import _streams

        line, head = self._way(endpoint)
        held = {one.sock: one for one in _connected(line, connections, patience.connect)}
        streams = _streams.Streams(
            held, waiting=line.waiting, silence=patience.read, clock=self._clock
        )
        messages = (
            (mark, _messages.request_bytes(line.base, head, request)) for mark, request in requests
        )
        for mark, ending in streams.exchange(messages):
            if isinstance(ending, OSError):
                yield mark, line.no_answer(ending, None)
            else:
                yield mark, _answer(ending, endpoint)
        for sock in streams.usable:
            sock.setblocking(True)
            line.give_back(held.pop(sock))
        for connection in held.values():
            line.drop(connection)

    def close(self) -> None:
        """Close the connections that are idle."""
        for line, unused in self._ways.values():
            line.close()
        self._ways.clear()

    def _send(
        self,
        way: _Way,
        connection: _lines.Connection,
        endpoint: Endpoint,
        request: Request,
        patience: Patience,
    ) -> "Exchange":
        line, head = way
        exchange = Exchange(line, connection, endpoint, request, self._clock, patience.total)
        exchange.send(_messages.request_bytes(line.base, head, request), patience.read)
        return exchange

    def _way(self, endpoint: Endpoint) -> _Way:
        way = self._ways.get(endpoint)
        if way is None:
            line = self._open(endpoint)
            host = endpoint.host.partition("%")[0]
            host = "[%s]" % host if ":" in host else host
            headers = dict({"Host": "%s:%d" % (host, endpoint.port)}, **self._headers)
            headers.update(line.headers)
            way = (line, "".join("%s: %s\r\n" % pair for pair in headers.items()))
            self._ways[endpoint] = way
        return way

    def _open(self, endpoint: Endpoint) -> _lines.Line:
        if endpoint.scheme == "http" and not self._use_proxy:
            return _lines.PlainLine(endpoint, self._connections)
        if self._adapter is None:
            # Imported here because requests costs more than all the requests of a task.
            from ansible_collections.quorum.etcd.plugins.module_utils import _adapter

            self._adapter = _adapter.Adapter(
                self._tls, use_proxy=self._use_proxy, connections=self._connections
            )
        return self._adapter.open(endpoint)


class Exchange:
    """A request that was sent, and whose answer is still to be read."""

    __slots__ = (
        "_line",
        "_connection",
        "_endpoint",
        "_request",
        "_clock",
        "_deadline",
        "_silence",
        "_index",
    )

    def __init__(
        self,
        line: _lines.Line,
        connection: t.Any,
        endpoint: Endpoint,
        request: Request,
        clock: t.Callable[[], float],
        seconds: float,
    ) -> None:
        self._line = line
        self._connection = connection
        self._endpoint = endpoint
        self._request = request
        self._clock = clock
        self._deadline = clock() + seconds
        self._silence = None  # type: t.Optional[float]
        self._index = None  # type: t.Optional[int]

    def send(self, message: bytes, silence: float) -> None:
        """Send the request.

        Args:
            silence: seconds to bear without a byte that goes or comes.

        Raises:
            AttemptFailed: the connection broke.
        """
        self._silence = silence
        try:
            self._connection.sock.settimeout(silence)
            self._connection.sock.sendall(message)
        except OSError as exc:
            raise self._broken(exc) from exc

    def ready(self, seconds: float) -> bool:
        """Whether an answer, or the end of the connection, comes within this time."""
        sock = self._connection.sock
        # What TLS has already taken from the connection cannot be waited for on it.
        pending = getattr(sock, "pending", None)
        if pending is not None and pending():
            return True
        return _lines.readable(sock, seconds)

    def finish(self) -> Answer:
        """Read the answer and give the connection back.

        Raises:
            AttemptFailed: there was no whole answer.
        """
        reader = _messages.AnswerReader()
        sock = self._connection.sock
        try:
            while True:
                reader.feed(sock.recv(_PIECE))
                if reader.whole:
                    break
                if self._request.kind is Kind.WAIT and self._index is None:
                    self._bear_silence(reader.headers)
                self._hold_to_the_budget()
        except OSError as exc:
            raise self._broken(exc) from exc
        if reader.reusable:
            self._line.give_back(self._connection)
        else:
            self._line.drop(self._connection)
        return _answer(reader, self._endpoint)

    def _bear_silence(self, headers: t.Optional[_messages.Headers]) -> None:
        """The head of a watch comes at once, and its body with the event.

        If the body never comes, the index in the head tells where to go on.
        """
        if headers is None:
            return
        self._index = header_number(headers, "X-Etcd-Index")
        self._silence = silence = self._request.read_timeout
        self._deadline = float("inf") if silence is None else self._deadline + silence
        self._connection.sock.settimeout(silence)

    def _hold_to_the_budget(self) -> None:
        """A socket's timeout bounds each silence, the deadline all of them together."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise socket.timeout("the answer did not end in time")
        if self._silence is None or left < self._silence:
            self._connection.sock.settimeout(None if left == float("inf") else left)

    def _broken(self, exc: OSError) -> AttemptFailed:
        self._line.drop(self._connection)
        return self._line.no_answer(exc, self._index)


def _answer(reader: _messages.AnswerReader, endpoint: Endpoint) -> Answer:
    return Answer(reader.status, reader.headers, reader.body, endpoint)


def _connected(line: _lines.Line, count: int, seconds: float) -> t.List[t.Any]:
    """As many connections as there come, up to the count.

    Raises:
        AttemptFailed: there comes none.
    """
    found = []  # type: t.List[t.Any]
    while len(found) < count:
        connection = line.take()
        if connection is None:
            break
        found.append(connection)
    failures = []  # type: t.List[AttemptFailed]

    def connect() -> None:
        try:
            found.append(line.make(seconds))
        except AttemptFailed as exc:
            failures.append(exc)

    threads = [threading.Thread(target=connect) for unused in range(count - len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not found:
        raise failures[0]
    return found
