# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/1.1 as it goes over a connection: a request as bytes, an answer from its bytes. Pure.

PRIVATE to the collection: it can change at any time.

Read here, and not by http.client, because that imports ssl, which costs each task more than all its
requests do; because an answer that comes in drops can then be held to the time budget from its
first byte on; and because many connections can be read side by side in one thread.

Source: RFC 9112, of which no more is taken than servers and proxies send to a request of this kind.
Whatever two readers could understand in two ways is refused: nothing is taken that `http.client`
would not take, or would read as something else.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils._types import Request
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

#: Bytes that the head of an answer with those of the interim answers before it, the line before a
#: chunk, or all trailers may take.
MAX_HEAD = 1 << 16

#: Lines of a head or of the trailers; as many as `http.client` takes.
MAX_LINES = 100

#: Interim answers (1xx) before the answer. None is known to send more than one or two.
MAX_INTERIM = 16

#: Bytes that the body of an answer may take. The tree of 100,000 keys has some twenty million; what
#: JSON becomes in memory may be twenty times as large.
MAX_BODY = 1 << 27

#: Bytes of the head of an HTTP/2 frame (RFC 9113, section 4.1): three of its length, then for a
#: SETTINGS frame, which a server begins with, these: type, flags, and stream 0.
_FRAME_HEAD = 9
_SETTINGS = b"\4\0\0\0\0\0"

_HEX = b"0123456789abcdefABCDEF"

#: The lines of a head after the first, or the trailers: a name of RFC 9110, a colon, and a value
#: without control characters. No line is folded.
_LINES = re.compile(r"(?:\r\n[-!#$%&'*+.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*)*")

_STATUS = re.compile(r"HTTP/1\.[01] ([1-9][0-9][0-9])(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")

#: What may be in a request target: no spaces, no control characters, nothing that is not ASCII.
_TARGET = re.compile(r"[!-~]+")

#: What to do about a port for gRPC.
HTTP_URLS = (
    "with --listen-client-http-urls etcd serves HTTP on the ports that are given there: use one of"
    " those"
)

#: What goes on inside a reader: it stops wherever it needs more bytes.
_Steps = t.Generator[None, None, t.Any]


class BadAnswer(OSError):
    """What came is no HTTP, or ended too soon."""


class NoAnswer(BadAnswer):
    """The connection was closed before a byte of an answer came."""

    def __init__(self) -> None:
        super().__init__("the connection was closed without an answer")


class GrpcOnly(BadAnswer):
    """The server begins with HTTP/2 unasked, as a gRPC server does, and knows no HTTP/1.1.

    Observed on etcd 3.5.16 and 3.5.30 with --listen-client-http-urls, on their client URLs: a
    SETTINGS frame, then the end of the connection. Over TLS, 3.5.30 just ends it.
    """

    def __init__(self) -> None:
        super().__init__("the server speaks gRPC only on this port; " + HTTP_URLS)


class Headers:
    """The headers of an answer; the first of those with one name counts.

    Args:
        head: the lines after the first, each with a line's end before it.
    """

    __slots__ = ("_head", "_folded")

    def __init__(self, head: str) -> None:
        self._head = head
        self._folded = head.lower()

    def get(self, name: str, default: t.Any = None) -> t.Any:
        """The text of a header; its name is blind to case."""
        found = self.get_all(name)
        return found[0] if found else default

    def get_all(self, name: str) -> t.List[str]:
        """The texts of all headers with this name."""
        found = []
        start = "\r\n%s:" % name.lower()
        position = self._folded.find(start)
        while position >= 0:
            position += len(start)
            end = self._head.find("\r\n", position)
            text = self._head[position : end if end >= 0 else len(self._head)]
            found.append(text.strip(" \t"))
            position = self._folded.find(start, position)
        return found


class AnswerReader:
    """Takes the bytes of one answer as they come.

    Attributes:
        status: the HTTP status.
        headers: None until the head has come.
        whole: whether all of the answer has come.
        reusable: whether the connection can carry another request, once the answer is whole.
    """

    __slots__ = ("status", "headers", "whole", "reusable", "_body", "_buffer", "_ended", "_steps")

    def __init__(self) -> None:
        self.status = 0
        self.headers = None  # type: t.Optional[Headers]
        self.whole = False
        self.reusable = False
        self._body = bytearray()
        self._buffer = b""
        self._ended = False
        self._steps = self._answer()
        next(self._steps)

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return bytes(self._body)

    def feed(self, data: bytes) -> None:
        """Take what has come; no bytes are the end of the connection.

        Raises:
            BadAnswer: this is no answer, or not the whole of one, or one that is too large.
        """
        if data:
            self._buffer = self._buffer + data if self._buffer else data
        else:
            self._ended = True
        if next(self._steps, self) is self:
            self.whole = True

    def _answer(self) -> _Steps:
        while not self._buffer.startswith(b"HTTP/"):
            if not b"HTTP/".startswith(self._buffer):
                # Another protocol has no end of a head to wait for.
                if self._buffer[:1] != b"\0" or len(self._buffer) >= _FRAME_HEAD:
                    raise _no_http(self._buffer)
            yield from self._more()
        left = MAX_HEAD
        for unused in range(MAX_INTERIM + 1):
            head = yield from self._until(b"\r\n\r\n", left)
            left -= len(head)
            first, end, rest = head.decode("latin-1").partition("\r\n")
            self.status = _status(first)
            headers = Headers(_checked(end + rest))
            if self.status >= 200:
                break
            if self.status == 101:
                raise BadAnswer("the server speaks another protocol, which nobody asked for")
        else:
            raise BadAnswer("the server sends interim answers without end")
        self.headers = headers
        self.reusable = not first.startswith("HTTP/1.0") and not _ends(headers)
        yield from self._framed(headers)
        if self._buffer:
            # What comes unasked belongs to no answer, and makes the next one doubtful.
            self.reusable = False

    def _framed(self, headers: Headers) -> _Steps:
        codings = headers.get_all("Transfer-Encoding")
        lengths = set(headers.get_all("Content-Length"))
        if codings and lengths:
            raise BadAnswer("the answer tells its length in two ways")
        if self.status in (204, 304):
            if codings:
                raise BadAnswer("the answer tells the length of a body that it cannot have")
            return
        if codings:
            if len(codings) > 1 or codings[0].lower() != "chunked":
                raise BadAnswer("the answer has an unknown transfer encoding")
            yield from self._chunks()
        elif not lengths:
            self.reusable = False
            yield from self._until_the_end()
        else:
            length = lengths.pop()
            if lengths or not _is_number(length):
                raise BadAnswer("the answer does not tell its length")
            yield from self._take(int(length), MAX_BODY)

    def _until(self, end: bytes, most: int) -> _Steps:
        """What comes before these bytes, which are taken as well."""
        while True:
            position = self._buffer.find(end)
            if position > most or (position < 0 and len(self._buffer) > most):
                raise BadAnswer("the answer is not HTTP")
            if position >= 0:
                found = self._buffer[:position]
                self._buffer = self._buffer[position + len(end) :]
                return found
            if self._buffer.count(b"\n") > self._buffer.count(b"\r\n"):
                # The end might never come.
                raise BadAnswer("the answer is not HTTP: a line ends without a carriage return")
            yield from self._more()

    def _take(self, count: int, most: int) -> _Steps:
        """Move this many bytes to the body."""
        if count > most:
            raise BadAnswer("the answer is larger than %d bytes; ask for less at once" % MAX_BODY)
        while count > len(self._buffer):
            count -= len(self._buffer)
            self._body += self._buffer
            self._buffer = b""
            yield from self._more()
        self._body += self._buffer[:count]
        self._buffer = self._buffer[count:]

    def _chunks(self) -> _Steps:
        left = MAX_BODY
        while True:
            line = yield from self._until(b"\r\n", MAX_HEAD)
            size = line.partition(b";")[0].rstrip(b" \t")
            if not size or size.strip(_HEX) or b"\n" in line or b"\r" in line:
                raise BadAnswer("a chunk of the answer does not tell its length")
            if not size.strip(b"0"):
                break
            yield from self._take(int(size, 16), left)
            left -= int(size, 16)
            if (yield from self._until(b"\r\n", MAX_HEAD)):
                raise BadAnswer("a chunk of the answer is longer than it says")
        # Trailers, which say nothing that concerns us.
        room, lines = MAX_HEAD, ""
        while True:
            line = yield from self._until(b"\r\n", room)
            if not line:
                break
            room -= len(line)
            lines += "\r\n" + line.decode("latin-1")
            _checked(lines)

    def _until_the_end(self) -> _Steps:
        left = MAX_BODY
        while not self._ended:
            count = len(self._buffer)
            yield from self._take(count, left)
            left -= count
            yield

    def _more(self) -> _Steps:
        yield
        if self._ended:
            if self.headers is None and not self._buffer:
                raise NoAnswer
            raise BadAnswer("the answer broke off")


def _no_http(begin: bytes) -> BadAnswer:
    """What begins like this instead of with HTTP/."""
    if begin[:1] in (b"\x15", b"\x16"):
        return BadAnswer(
            "the answer is not HTTP, but begins as TLS does; if this is a port for https, write"
            " https:// in the endpoint"
        )
    if begin[3:_FRAME_HEAD] == _SETTINGS:
        return GrpcOnly()
    return BadAnswer("the answer is not HTTP")


def _status(line: str) -> int:
    found = _STATUS.fullmatch(line)
    if found is None:
        raise BadAnswer("the answer is not HTTP")
    return int(found.group(1))


def _checked(lines: str) -> str:
    """Lines of a head, if they are lines of HTTP."""
    if lines.count("\n") > MAX_LINES or _LINES.fullmatch(lines) is None:
        raise BadAnswer("the answer is not HTTP: its head has lines that are no headers")
    return lines


def _ends(headers: Headers) -> bool:
    """Whether the server ends the connection after this answer."""
    lines = headers.get_all("Connection")
    return bool(lines) and "close" in [
        option.strip().lower() for option in ",".join(lines).split(",")
    ]


def _is_number(text: str) -> bool:
    """Whether this is a number of a size that makes sense (Python refuses to read endless ones)."""
    return text.isascii() and text.isdigit() and len(text) < 20


def head_lines(headers: t.Mapping[str, str]) -> str:
    """The lines of the headers that all requests to an endpoint have.

    Raises:
        ClientException: one of them would be more than a line.
    """
    lines = "".join("%s: %s\r\n" % pair for pair in headers.items())
    if _LINES.fullmatch("\r\n" + lines[:-2]) is None or lines.count("\n") != len(headers):
        raise ClientException(
            "the headers %s cannot be sent: one of them holds a control character"
            % ", ".join(sorted(headers))
        )
    return lines


def request_bytes(base: str, head: str, request: Request) -> bytes:
    """A request as it goes over a connection.

    Args:
        base: what goes before the path, for a proxy.
        head: the lines of the headers that all requests to the endpoint have (`head_lines`).

    Raises:
        ClientException: the target would not be one.
    """
    target = base + request.target
    if _TARGET.fullmatch(target) is None:
        raise ClientException(
            "the path %r cannot be sent: it holds a space, a control character or a character that"
            " is not ASCII" % request.target
        )
    body = request.body or b""
    lines = "%s %s HTTP/1.1\r\n%s" % (request.method, target, head)
    if request.content_type is not None:
        lines += "Content-Type: %s\r\n" % request.content_type
    if body or request.method != "GET":
        lines += "Content-Length: %d\r\n" % len(body)
    return (lines + "\r\n").encode("latin-1") + body
