# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request to one endpoint, over kept-alive connections.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import math
import socket
import threading
import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _lines, _messages
from ansible_collections.quorum.etcd.plugins.module_utils._progress import Progress
from ansible_collections.quorum.etcd.plugins.module_utils._results import header_number
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    AttemptFailed,
    Endpoint,
    Failure,
    Kind,
    Patience,
    Request,
    Tls,
)

#: Bytes to read or write before the clock is looked at again.
_PIECE = 1 << 16


class _Way(t.NamedTuple):
    """How an endpoint is reached, and the headers of the requests to it.

    Attributes:
        head: with credentials, if there are any.
        anonymous_head: the same without.
    """

    line: _lines.Line
    head: str
    anonymous_head: str

    def message(self, request: Request) -> bytes:
        """The request as it is sent."""
        head = self.anonymous_head if request.anonymous else self.head
        return _messages.request_bytes(self.line.base, head, request)


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
        self._authorization = authorization
        self._connections = connections
        self._adapter = None  # type: t.Any
        self._ways = {}  # type: t.Dict[Endpoint, _Way]
        self._opening = threading.Lock()

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """Send the request once and return the answer, whatever its status.

        Raises:
            AttemptFailed: there was no whole answer.
            ClientException: a certificate or key file cannot be used.
            MissingLibrary: requests is needed and not installed.
        """
        return self.start(endpoint, request, patience).finish()

    def start(self, endpoint: Endpoint, request: Request, patience: Patience) -> "Exchange":
        """Send the request once, connecting if need be, and do not wait for the answer.

        Raises:
            AttemptFailed, ClientException, MissingLibrary: as `exchange`.
        """
        way = self._way(endpoint)
        line = way.line
        connection = line.take()
        if connection is not None and request.fresh_connection:
            # Replaced, so that there are no more of them for it.
            line.drop(connection)
            connection = None
        first = connection is None
        if connection is None:
            connection = line.make(patience.connect)
        return self._send(way, connection, first, endpoint, request, patience)

    def begin(
        self, endpoint: Endpoint, request: Request, patience: Patience
    ) -> t.Optional["Exchange"]:
        """Send a request that may be sent twice, if a connection is open, and do not wait.

        Returns:
            None if no connection to this endpoint is open, or the one that was has broken.
        """
        way = self._ways.get(endpoint)
        connection = None if way is None else way.line.take()
        if way is None or connection is None:
            return None
        try:
            return self._send(way, connection, False, endpoint, request, patience)
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

        way = self._way(endpoint)
        line = way.line
        held = {}  # type: t.Dict[t.Any, t.Any]
        sockets = []  # type: t.List[t.Tuple[t.Any, bool]]
        for connection, first in _connected(line, connections, patience.connect):
            held[connection.sock] = connection
            sockets.append((connection.sock, first))

        def renew(sock: t.Any) -> t.Any:
            line.drop(held.pop(sock))
            connection = line.make(patience.connect)
            held[connection.sock] = connection
            return connection.sock

        streams = _streams.Streams(
            sockets,
            waiting=line.waiting,
            silence=patience.read,
            total=patience.total,
            clock=self._clock,
            renew=renew,
        )
        messages = (
            (mark, way.message(request), request.fresh_connection) for mark, request in requests
        )
        for mark, ending in streams.exchange(messages):
            if isinstance(ending, _streams.Lost):
                yield mark, _no_answer(line, endpoint, ending.cause, None, ending.first)
            elif isinstance(ending, AttemptFailed):
                yield mark, ending
            else:
                yield mark, _answer(ending, endpoint)
        for sock in streams.usable:
            sock.setblocking(True)
            line.give_back(held.pop(sock))
        for connection in held.values():
            line.drop(connection)

    def close(self) -> None:
        """Close the connections that are idle."""
        for way in self._ways.values():
            way.line.close()
        self._ways.clear()

    def _send(
        self,
        way: _Way,
        connection: _lines.Connection,
        first: bool,
        endpoint: Endpoint,
        request: Request,
        patience: Patience,
    ) -> "Exchange":
        exchange = Exchange(
            way.line, connection, endpoint, request, patience, self._clock, first=first
        )
        exchange.send(way.message(request))
        return exchange

    def _way(self, endpoint: Endpoint) -> _Way:
        way = self._ways.get(endpoint)
        if way is None:
            # Threads that come at the same time share the connections of one line.
            with self._opening:
                way = self._ways.get(endpoint)
                if way is None:
                    way = self._ways[endpoint] = self._new_way(endpoint)
        return way

    def _new_way(self, endpoint: Endpoint) -> _Way:
        line = self._open(endpoint)
        host = endpoint.host.partition("%")[0]
        host = "[%s]" % host if ":" in host else host
        headers = dict({"Host": "%s:%d" % (host, endpoint.port)}, **self._headers)
        headers.update(line.headers)
        anonymous = _messages.head_lines(headers)
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        return _Way(line, _messages.head_lines(headers), anonymous)

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
    """A request that was sent, and whose answer is still to be read.

    Args:
        first: whether the connection has carried no exchange yet.
        patience: bounds the silence, which begins again with each byte that comes or goes, and the
            whole.
        clock: seconds, monotonic.

    Attributes:
        received: bytes of the answer that have come.
        moved_at: when the last byte came or went.
        longest_silence: seconds, the longest that the answer was waited for without a byte.
    """

    __slots__ = (
        "_line",
        "_connection",
        "_endpoint",
        "_request",
        "_clock",
        "_deadline",
        "_progress",
        "_reader",
        "_first",
        "_failure",
        "_index",
        "received",
        "moved_at",
        "longest_silence",
    )

    def __init__(
        self,
        line: _lines.Line,
        connection: t.Any,
        endpoint: Endpoint,
        request: Request,
        patience: Patience,
        clock: t.Callable[[], float],
        *,
        first: bool,
    ) -> None:
        self._line = line
        self._connection = connection
        self._endpoint = endpoint
        self._request = request
        self._clock = clock
        now = clock()
        self._deadline = now + patience.total
        self._progress = Progress(connection.sock, patience.read, now)
        self._reader = _messages.AnswerReader()
        self._first = first
        self._failure = None  # type: t.Optional[OSError]
        self._index = None  # type: t.Optional[int]
        self.received = 0
        self.moved_at = now
        self.longest_silence = 0.0

    def send(self, message: bytes) -> None:
        """Send the request.

        Raises:
            AttemptFailed: the connection broke, or took no byte in time.
        """
        sock = self._connection.sock
        rest = memoryview(message)
        try:
            while rest:
                sock.settimeout(self._left(self._clock()))
                rest = rest[sock.send(rest[:_PIECE]) :]
                self._progress.moved(self._clock())
        except OSError as exc:
            raise self._broken(exc) from exc
        self.moved_at = self._clock()
        self._progress.handed_over(len(message), self.moved_at)

    def ready(self, seconds: float) -> bool:
        """Read what comes of the answer within this time.

        Returns:
            Whether `finish` would now return or raise at once: the answer is whole, or there will be
            none.
        """
        try:
            return self._read(self._clock() + seconds)
        except OSError as exc:
            self._failure = exc
            return True

    def finish(self) -> Answer:
        """Read the answer to its end and give the connection back.

        Raises:
            AttemptFailed: there was no whole answer.
        """
        try:
            if self._failure is not None:
                raise self._failure
            self._read(math.inf)
        except OSError as exc:
            raise self._broken(exc) from exc
        reader = self._reader
        if reader.reusable:
            self._line.give_back(self._connection)
        else:
            self._line.drop(self._connection)
        return _answer(reader, self._endpoint)

    def _read(self, until: float) -> bool:
        """Read until the answer is whole (True) or it is this late (False).

        Raises:
            OSError: there will be no whole answer.
        """
        reader, sock = self._reader, self._connection.sock
        waits = (socket.timeout,) + self._line.waiting
        now = self._clock()
        while not reader.whole:
            left = self._left(now)
            if until - now < left:
                sock.settimeout(max(until - now, 0.0))
            else:
                sock.settimeout(None if left == math.inf else left)
            try:
                piece = sock.recv(_PIECE)
            except waits:
                piece = None
            now = self._clock()
            if piece is not None:
                self._progress.moved(now)
                self.received += len(piece)
                self.longest_silence = max(self.longest_silence, now - self.moved_at)
                self.moved_at = now
                reader.feed(piece)
                self._first = False
                if self._request.kind is Kind.WAIT and self._index is None:
                    self._bear_silence(reader.headers)
            if now >= until:
                break
        return reader.whole

    def _bear_silence(self, headers: t.Optional[_messages.Headers]) -> None:
        """The head of a watch comes at once, and its body with the event.

        If the body never comes, the index in the head tells where to go on.
        """
        if headers is None:
            return
        self._index = header_number(headers, "X-Etcd-Index")
        self._progress.limit = silence = self._request.read_timeout
        self._deadline = math.inf if silence is None else self._deadline + silence

    def _left(self, now: float) -> float:
        """Seconds for the next byte: each silence has a limit, and all of them together.

        Raises:
            socket.timeout: there are none.
        """
        left = min(self._progress.left(now), self._deadline - now)
        if left <= 0:
            raise socket.timeout("the answer did not come in time")
        return left

    def _broken(self, exc: OSError) -> AttemptFailed:
        self._line.drop(self._connection)
        return _no_answer(self._line, self._endpoint, exc, self._index, self._first)


def _no_answer(
    line: _lines.Line,
    endpoint: Endpoint,
    exc: OSError,
    index: t.Optional[int],
    first: bool,
) -> AttemptFailed:
    """What it means that a request got no whole answer; the arguments are `Line.no_answer`'s."""
    failed = line.no_answer(exc, index, first=first)
    if first and isinstance(exc, _messages.GrpcOnly):
        # A server that knows no HTTP/1.1 has carried nothing out.
        return AttemptFailed(Failure.NOT_SERVED, failed.reason, index)
    if first and isinstance(exc, _messages.NoAnswer):
        if endpoint.scheme == "https":
            failed.reason += ", as by one that speaks gRPC only; " + _messages.HTTP_URLS
        elif not line.base:
            # So do all etcd versions that were looked at (3.4.23 to 3.5.30).
            failed.reason += "; a port for https does so on http: write https:// if this is one"
    return failed


def _answer(reader: _messages.AnswerReader, endpoint: Endpoint) -> Answer:
    return Answer(reader.status, reader.headers, reader.body, endpoint)


def _connected(
    line: _lines.Line, count: int, seconds: float
) -> t.List[t.Tuple[_lines.Connection, bool]]:
    """As many connections as there come, up to the count; each with whether it is new.

    Raises:
        AttemptFailed: there comes none.
    """
    found = []  # type: t.List[t.Tuple[_lines.Connection, bool]]
    while len(found) < count:
        connection = line.take()
        if connection is None:
            break
        found.append((connection, False))
    failures = []  # type: t.List[AttemptFailed]

    def connect() -> None:
        try:
            found.append((line.make(seconds), True))
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
