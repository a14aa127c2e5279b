# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many small exchanges over a few open connections, in one thread.

PRIVATE to the collection: it can change at any time.

Threads that wait for one answer each share Python's one lock, and are no faster together than one
alone where the network has no latency. Here one thread keeps a request on every connection: while
the server works on one, the next is prepared. Only what etcd's answers to writes look like is read
(a length or chunks, then silence); anything else ends the connection, and its request counts as
unanswered.
"""

from __future__ import annotations

import http.client
import selectors
import socket
import ssl
import typing as t

#: Bytes to read at once, and the most that the head of an answer may take.
_PIECE = 1 << 16

#: Seconds between two looks for connections that have been silent too long.
_TICK = 0.25

_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Headers(t.Dict[str, str]):
    """Headers whose `get` is blind to case."""

    def get(self, name: str, default: t.Any = None) -> t.Any:
        return dict.get(self, name.lower(), default)


class Reply(t.NamedTuple):
    """One answer, as it came."""

    status: int
    headers: Headers
    body: bytes


#: What became of a message: its answer, or how the connection ended.
Ending = t.Union[Reply, OSError, http.client.HTTPException]


def parse(data: bytes) -> t.Optional[t.Tuple[Reply, int]]:
    """The answer at the start of the data and its length, or None while it is not whole.

    Raises:
        http.client.HTTPException: it is no HTTP, or its end cannot be told.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) >= _PIECE:
            raise http.client.LineTooLong("head")
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    version, unused, rest = lines[0].partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit() or rest.startswith("1"):
        raise http.client.BadStatusLine(lines[0])
    headers = Headers()
    for line in lines[1:]:
        name, unused, value = line.partition(":")
        headers[name.lower()] = value.strip()
    status, start = int(rest[:3]), end + 4
    if status in (204, 304):
        return Reply(status, headers, b""), start
    if headers.get("transfer-encoding", "").lower() == "chunked":
        found = _unchunked(data, start)
        return found and (Reply(status, headers, found[0]), found[1])
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise http.client.UnknownTransferEncoding()
    stop = start + int(length)
    return (Reply(status, headers, data[start:stop]), stop) if len(data) >= stop else None


def _unchunked(data: bytes, start: int) -> t.Optional[t.Tuple[bytes, int]]:
    """The body whose first chunk begins here, and where it ends; None while it is not whole."""
    pieces = []  # type: t.List[bytes]
    while True:
        line = data.find(b"\r\n", start)
        if line < 0:
            return None
        try:
            size = int(data[start:line].partition(b";")[0], 16)
        except ValueError as exc:
            raise http.client.HTTPException("no size of a chunk") from exc
        if size < 0:
            raise http.client.HTTPException("no size of a chunk")
        start, stop = line + 2, line + 2 + size
        if len(data) < stop + 2:
            return None
        if data[stop : stop + 2] != b"\r\n":
            raise http.client.HTTPException("no end of a chunk")
        if size == 0:
            return b"".join(pieces), stop + 2
        pieces.append(data[start:stop])
        start = stop + 2


class _Stream:
    """One connection and the message that is on it."""

    __slots__ = ("sock", "mark", "unsent", "received", "since", "reusable")

    def __init__(self, sock: t.Any) -> None:
        self.sock = sock
        self.mark = None  # type: t.Any
        self.unsent = b""
        self.received = b""
        self.since = 0.0
        self.reusable = True

    def send(self) -> None:
        try:
            sent = self.sock.send(self.unsent)
        except _WAIT:
            return
        self.unsent = self.unsent[sent:]

    def receive(self) -> t.Optional[Reply]:
        """The answer, if it is whole now."""
        while True:
            try:
                piece = self.sock.recv(_PIECE)
            except _WAIT:
                return None
            if not piece:
                raise http.client.RemoteDisconnected("closed without an answer")
            self.received = self.received + piece if self.received else piece
            found = parse(self.received)
            if found is not None:
                reply, length = found
                # What comes unasked belongs to no answer, and makes the next one doubtful.
                self.reusable = (
                    length == len(self.received)
                    and reply.headers.get("connection", "").lower() != "close"
                )
                self.received = b""
                return reply
            if not isinstance(self.sock, ssl.SSLSocket):
                return None


class Streams:
    """Open connections to one endpoint that carry messages side by side.

    Args:
        sockets: connected, and with no answer outstanding.
        silence: seconds to bear without a byte of an answer.
        clock: seconds, monotonic.

    Attributes:
        usable: the sockets that can go on being used, once `exchange` has ended.
    """

    def __init__(
        self, sockets: t.Iterable[t.Any], *, silence: float, clock: t.Callable[[], float]
    ) -> None:
        self._idle = [_Stream(sock) for sock in sockets]
        self._silence = silence
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._busy = set()  # type: t.Set[_Stream]
        self.usable = []  # type: t.List[t.Any]

    def exchange(
        self, messages: t.Iterator[t.Tuple[t.Any, bytes]]
    ) -> t.Iterator[t.Tuple[t.Any, Ending]]:
        """Send each message once and yield its mark with what became of it, as the answers come.

        A message is taken when a connection is free for it. Once a connection has broken, no
        further message is taken, and the answers to those that were sent are still waited for.
        """
        for stream in self._idle:
            stream.sock.setblocking(False)
            self._selector.register(stream.sock, selectors.EVENT_READ, stream)
        taking = True
        look = self._clock() + _TICK
        while True:
            while taking and self._idle:
                message = next(messages, None)
                if message is None:
                    taking = False
                    break
                failure = self._begin(self._idle.pop(), message)
                if failure is not None:
                    taking = False
                    yield message[0], failure
            if not self._busy:
                break
            for mark, ending in self._turn():
                taking = taking and isinstance(ending, Reply)
                yield mark, ending
            if self._clock() >= look:
                look = self._clock() + _TICK
                for mark, ending in self._silent():
                    taking = False
                    yield mark, ending
        self._selector.close()
        self.usable = [stream.sock for stream in self._idle]

    def _begin(
        self, stream: _Stream, message: t.Tuple[t.Any, bytes]
    ) -> t.Union[None, OSError, http.client.HTTPException]:
        stream.mark, stream.unsent = message
        stream.since = self._clock()
        self._busy.add(stream)
        try:
            self._push(stream)
        except OSError as exc:
            self._drop(stream)
            return exc
        return None

    def _push(self, stream: _Stream) -> None:
        """Send what the connection takes, and be told when it takes more."""
        stream.send()
        events = selectors.EVENT_READ
        if stream.unsent:
            events |= selectors.EVENT_WRITE
        if self._selector.get_key(stream.sock).events != events:
            self._selector.modify(stream.sock, events, stream)

    def _turn(self) -> t.Iterator[t.Tuple[t.Any, Ending]]:
        for ready, unused in self._selector.select(_TICK):
            stream = ready.data
            if stream not in self._busy:
                # Its end, which nobody asked for: the next message would be lost with it.
                self._idle.remove(stream)
                self._drop(stream)
                continue
            try:
                if stream.unsent:
                    self._push(stream)
                reply = stream.receive()
            except (OSError, http.client.HTTPException) as exc:
                self._drop(stream)
                yield stream.mark, exc
                continue
            if reply is None:
                continue
            if stream.reusable and not stream.unsent:
                self._busy.discard(stream)
                self._idle.append(stream)
            else:
                self._drop(stream)
            yield stream.mark, reply

    def _silent(self) -> t.Iterator[t.Tuple[t.Any, OSError]]:
        limit = self._clock() - self._silence
        for stream in [one for one in self._busy if one.since < limit]:
            self._drop(stream)
            yield stream.mark, socket.timeout("no answer in time")

    def _drop(self, stream: _Stream) -> None:
        self._busy.discard(stream)
        self._selector.unregister(stream.sock)
        stream.sock.close()
