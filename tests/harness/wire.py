# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As much of HTTP/1.1 as a proxy needs: heads, and where a body ends."""

from __future__ import annotations

import http.client
import io
import select
import socket
import typing as t
from dataclasses import dataclass

from .errors import HarnessError

_MAX_HEAD = 2 * 1024 * 1024
_CHUNK = 65536
_NO_BODY = (204, 304)


class Gone(HarnessError):
    """The other side closed its connection."""


class BadMessage(HarnessError):
    """The other side does not speak HTTP."""


class Stream:
    """Buffered reading from a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.before_read: t.Optional[t.Callable[[], None]] = None
        self._buffer = bytearray()

    def pending(self) -> bool:
        """Whether bytes are there that a poll of the socket would not show."""
        inside_tls = getattr(self.sock, "pending", None)
        return bool(self._buffer) or bool(inside_tls is not None and inside_tls())

    def fill(self) -> None:
        """Read more into the buffer."""
        if self.before_read is not None:
            self.before_read()
        data = self.sock.recv(_CHUNK)
        if not data:
            raise Gone("connection closed")
        self._buffer += data

    def take_until(self, mark: bytes) -> bytes:
        """Everything up to and including `mark`."""
        start = 0
        while True:
            found = self._buffer.find(mark, start)
            if found >= 0:
                return self._cut(found + len(mark))
            if len(self._buffer) > _MAX_HEAD:
                raise BadMessage("no end of the head")
            start = max(len(self._buffer) - len(mark), 0)
            self.fill()

    def take_some(self, limit: int = _CHUNK) -> bytes:
        """What is there, at least one byte and at most `limit`."""
        if not self._buffer:
            self.fill()
        return self._cut(limit)

    def _cut(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


@dataclass(frozen=True)
class Head:
    """The first lines of a request or an answer, as they came and taken apart."""

    raw: bytes
    start: str
    headers: http.client.HTTPMessage

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.start.split(" ", 2)[1])

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this message."""
        said = self.headers.get("Connection", "").lower()
        return said == "close" or (self.start.endswith("HTTP/1.0") and said != "keep-alive")

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    @property
    def length(self) -> t.Optional[int]:
        """The length of the body, if it was announced."""
        value = self.headers.get("Content-Length")
        return None if value is None else int(value)


def read_head(stream: Stream) -> Head:
    """The next head."""
    raw = stream.take_until(b"\r\n\r\n")
    start, rest = raw.split(b"\r\n", 1)
    text = start.decode("latin-1")
    if not text.startswith("HTTP/1.") and " HTTP/1." not in text:
        raise BadMessage(f"not HTTP: {text[:80]!r}")
    return Head(raw, text, http.client.parse_headers(io.BytesIO(rest)))


def request_body(stream: Stream, head: Head) -> t.Iterator[bytes]:
    """The body of a request, framing included, piece by piece."""
    if head.chunked:
        return _chunks(stream)
    return _counted(stream, head.length or 0)


def answer_body(stream: Stream, head: Head, method: str) -> t.Iterator[bytes]:
    """The body of an answer, framing included, piece by piece as it arrives."""
    if method == "HEAD" or head.status in _NO_BODY:
        return iter(())
    if head.chunked:
        return _chunks(stream)
    if head.length is None:
        return _rest(stream)
    return _counted(stream, head.length)


def answer_ends_connection(head: Head, method: str) -> bool:
    """Whether nothing can follow this answer on its connection."""
    if method == "HEAD" or head.status in _NO_BODY or head.chunked:
        return head.closes
    return head.closes or head.length is None


def wait_readable(stream: Stream, other: Stream) -> None:
    """Wait until `stream` has something to read; raise `Gone` when `other` closes before."""
    while not stream.pending():
        poll = select.poll()
        poll.register(stream.sock, select.POLLIN)
        poll.register(other.sock, select.POLLIN)
        ready = [found[0] for found in poll.poll()]
        if stream.sock.fileno() in ready:
            return
        other.fill()


def _counted(stream: Stream, left: int) -> t.Iterator[bytes]:
    while left:
        data = stream.take_some(left)
        left -= len(data)
        yield data


def _chunks(stream: Stream) -> t.Iterator[bytes]:
    while True:
        line = stream.take_until(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            while line != b"\r\n":
                yield line
                line = stream.take_until(b"\r\n")
            yield line
            return
        yield line
        yield from _counted(stream, size + 2)


def _rest(stream: Stream) -> t.Iterator[bytes]:
    while True:
        try:
            data = stream.take_some()
        except Gone:
            return
        yield data
