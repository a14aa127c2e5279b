# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy in front of one etcd endpoint that fails on request.

    with FaultProxy(member.endpoint) as proxy:
        proxy.set_mode("cut_after_forward", match="PUT", times=1)

Modes that concern whole connections: `refuse` (connection refused; established connections are
closed) and `blackhole` (a connection is never completed; established ones hang).

All others concern single requests, so they can be limited to some by `match` and `times`:

pass                forward, and pass the answer on as it arrives
reset               read the request, then reset the connection
hang                read the request, never answer
cut_before_forward  read the request, close the connection
cut_after_forward   forward, wait for the whole answer, close the connection without a byte
error_after_commit  forward, wait for the whole answer, answer `status` and `body`
error_instead       answer `status` and `body`
garbage             answer bytes that are not HTTP
stall               forward, answer the head and half of the body, then nothing more
truncate            forward, answer the head and half of the body, close the connection
drip                forward, answer one byte every `delay` seconds
delay               forward after `delay` seconds, also if the client has left by then
redirect            answer `status` (307) with `location`
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import struct
import threading
import time
import typing as t
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from . import ports, wire
from .errors import HarnessError
from .tls import Tls

Match = t.Union[str, t.Callable[[str, str], bool], None]

_CONNECT_TIMEOUT = 5.0
_JOIN_TIMEOUT = 5.0
_FILL_TIMEOUT = 0.2
_BACKLOG = 128
_CONNECTION_MODES = ("refuse", "blackhole")
_GARBAGE = b"\x15\x03\x01\x00\x02\x02\x16 this is not HTTP\r\n\r\n"
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Seen:
    """A request that arrived, whatever was then done with it."""

    method: str
    target: str
    headers: http.client.HTTPMessage
    body: bytes
    time: float
    """Of the monotonic clock."""


@dataclass(frozen=True)
class Fault:
    """What to do with the requests that match."""

    mode: str = "pass"
    match: Match = None
    status: int = 500
    body: bytes = b'{"message":"Internal Server Error"}'
    content_type: str = "application/json"
    delay: float = 0.0
    location: t.Optional[str] = None

    def hits(self, method: str, target: str) -> bool:
        """Whether it concerns that request."""
        if self.match is None:
            return True
        if isinstance(self.match, str):
            return method == self.match.upper()
        return self.match(method, target)


_PASS = Fault()


class FaultProxy:
    """The proxy; a context manager that starts and stops it."""

    def __init__(
        self,
        upstream_url: str,
        mode: str = "pass",
        *,
        tls: t.Optional[Tls] = None,
        log_path: t.Optional[str] = None,
    ) -> None:
        self.upstream_url = upstream_url
        self.tls = tls
        self.requests: t.List[Seen] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._log_path = log_path
        self._lock = threading.Lock()
        self._switch = threading.Lock()
        self._fault = _PASS
        self._left: t.Optional[int] = None
        self._port = 0
        self._arrangement = ""
        self._holder: t.Optional[socket.socket] = None
        self._listener: t.Optional[socket.socket] = None
        self._acceptor: t.Optional[threading.Thread] = None
        self._fillers: t.List[socket.socket] = []
        self._open: t.Set[socket.socket] = set()
        self._threads: t.Set[threading.Thread] = set()
        self.set_mode(mode)

    def __enter__(self) -> FaultProxy:
        self.start()
        return self

    def __exit__(
        self,
        kind: t.Optional[t.Type[BaseException]],
        error: t.Optional[BaseException],
        trace: t.Optional[TracebackType],
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port, from `start` on and in every mode."""
        return self._port

    @property
    def url(self) -> str:
        """What a client is given as its endpoint."""
        return f"{'https' if self.tls else 'http'}://{ports.HOST}:{self._port}"

    def start(self) -> None:
        """Take a port, in the mode that is set."""
        with self._switch:
            if self._port or self.stopped.is_set():
                raise HarnessError("this proxy was already started")
            self._port = ports.free_port()
            self._arrange(self._fault.mode)

    def stop(self) -> None:
        """Close everything."""
        self.stopped.set()
        with self._switch:
            self._disarrange()
            self._drop_connections()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(_JOIN_TIMEOUT)

    def set_mode(
        self,
        mode: str,
        match: Match = None,
        times: t.Optional[int] = None,
        status: t.Optional[int] = None,
        body: t.Optional[bytes] = None,
        content_type: str = _PASS.content_type,
        delay: float = 0.0,
        location: t.Optional[str] = None,
    ) -> None:
        """What happens from now on; after `times` matching requests, `pass`.

        `match` is a method name or a callable of method and target.
        """
        if mode not in _ACTIONS and mode not in _CONNECTION_MODES:
            raise ValueError(f"unknown mode {mode!r}")
        if mode in _CONNECTION_MODES and not (match is None and times is None):
            raise ValueError(f"{mode} concerns connections, not requests: no match, no times")
        fault = Fault(
            mode=mode,
            match=match,
            status=status if status is not None else (307 if mode == "redirect" else 500),
            body=body if body is not None else (_GARBAGE if mode == "garbage" else _PASS.body),
            content_type=content_type,
            delay=delay,
            location=location,
        )
        with self._switch:
            with self._lock:
                self._fault = fault
                self._left = times
            if self._port and not self.stopped.is_set():
                self._arrange(mode)

    def forget(self) -> None:
        """Empty `requests` and reset `connections`."""
        with self._lock:
            self.requests.clear()
            self.connections = 0

    # What the connections ask.

    def see(self, seen: Seen) -> Fault:
        """Record a request and say what to do with it."""
        with self._lock:
            self.requests.append(seen)
            if self._log_path is not None:
                entry = {"method": seen.method, "target": seen.target, "length": len(seen.body)}
                with open(self._log_path, "a", encoding="utf-8") as log:
                    log.write(json.dumps(entry) + "\n")
            if self._fault.hits(seen.method, seen.target) and self._count():
                return self._fault
            return _PASS

    def keep(self, sock: socket.socket) -> None:
        """Have a socket closed when the proxy stops."""
        with self._lock:
            self._open.add(sock)
        if self.stopped.is_set():
            _shut(sock)

    def discard(self, sock: socket.socket) -> None:
        """Close a socket."""
        with self._lock:
            self._open.discard(sock)
        sock.close()

    def connect_upstream(self) -> socket.socket:
        """A new connection to the server."""
        parts = urlsplit(self.upstream_url)
        host = parts.hostname or ports.HOST
        sock = socket.create_connection((host, parts.port or 2379), timeout=_CONNECT_TIMEOUT)
        if self.tls is not None:
            sock = self.tls.client_context().wrap_socket(sock, server_hostname=host)
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    # The listening side. All of these run under `_switch`.

    def _arrange(self, mode: str) -> None:
        arrangement = mode if mode in _CONNECTION_MODES else "listen"
        if arrangement == self._arrangement:
            return
        self._disarrange()
        self._arrangement = arrangement
        if arrangement == "refuse":
            # Bound but not listening: refuses, and nobody else gets the port.
            self._holder = self._bind()
            self._drop_connections()
        elif arrangement == "blackhole":
            self._holder = self._bind()
            self._holder.listen(0)
            self._fill_backlog()
        else:
            self._listener = self._bind()
            self._listener.listen(_BACKLOG)
            self._acceptor = threading.Thread(
                target=self._accept, args=(self._listener,), daemon=True
            )
            self._acceptor.start()

    def _disarrange(self) -> None:
        if self._listener is not None and self._acceptor is not None:
            _shut(self._listener)
            self._acceptor.join(_JOIN_TIMEOUT)
            self._listener.close()
        if self._holder is not None:
            self._holder.close()
        for sock in self._fillers:
            sock.close()
        self._fillers = []
        self._holder = self._listener = self._acceptor = None

    def _bind(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ports.HOST, self._port))
        return sock

    def _fill_backlog(self) -> None:
        """Connect to the own port until a connection is no longer completed."""
        while True:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._fillers.append(sock)
            sock.settimeout(_FILL_TIMEOUT)
            try:
                sock.connect((ports.HOST, self._port))
            except socket.timeout:
                return

    def _drop_connections(self) -> None:
        with self._lock:
            for sock in self._open:
                _shut(sock)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock = listener.accept()[0]
            except OSError:
                return
            with self._lock:
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
                self._threads.add(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        # Whatever breaks a connection, all that is left to do is to close it.
        with contextlib.suppress(OSError, HarnessError, ValueError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                sock = self.tls.server_context().wrap_socket(
                    sock, server_side=True, do_handshake_on_connect=False
                )
            self.keep(sock)
            _Connection(self, sock).serve()
        self.discard(sock)
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _count(self) -> bool:
        """Use up one of `times`; whether there was one left. Runs under `_lock`."""
        if self._left is None:
            return True
        if self._left == 0:
            return False
        self._left -= 1
        return True


class _Connection:
    """One client connection and its connection to the server."""

    def __init__(self, proxy: FaultProxy, sock: socket.socket) -> None:
        self.proxy = proxy
        self.client = wire.Stream(sock)
        self._upstream: t.Optional[wire.Stream] = None

    def serve(self) -> None:
        """Serve requests until one ends the connection."""
        try:
            handshake = getattr(self.client.sock, "do_handshake", None)
            if handshake is not None:
                handshake()
            while self._serve_one():
                continue
        finally:
            self._drop_upstream()

    def _serve_one(self) -> bool:
        head = wire.read_head(self.client)
        body = b"".join(wire.request_body(self.client, head))
        method, target = head.start.split(" ", 2)[:2]
        seen = Seen(method, target, head.headers, body, time.monotonic())
        fault = self.proxy.see(seen)
        exchange = _Exchange(self, seen, fault, head.raw + body)
        return _ACTIONS.get(fault.mode, _hang)(exchange) and not head.closes

    def upstream(self) -> wire.Stream:
        """The connection to the server, a new one if the last was closed meanwhile."""
        if self._upstream is not None:
            poll = select.poll()
            poll.register(self._upstream.sock, select.POLLIN)
            if self._upstream.pending() or poll.poll(0):
                self._drop_upstream()
        if self._upstream is None:
            self._upstream = wire.Stream(self.proxy.connect_upstream())
            self.proxy.keep(self._upstream.sock)
        return self._upstream

    def _drop_upstream(self) -> None:
        if self._upstream is not None:
            self.proxy.discard(self._upstream.sock)
            self._upstream = None


class _Answer(t.NamedTuple):
    head: wire.Head
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head.raw + self.body


class _Exchange:
    """One request with what is to be done with it."""

    def __init__(self, connection: _Connection, seen: Seen, fault: Fault, raw: bytes) -> None:
        self.connection = connection
        self.client = connection.client
        self.seen = seen
        self.fault = fault
        self._raw = raw

    def forward(self, upstream: wire.Stream) -> wire.Head:
        """Send the request on and read the head of its answer."""
        upstream.sock.sendall(self._raw)
        head = wire.read_head(upstream)
        while head.status == 100:
            head = wire.read_head(upstream)
        return head

    def answer(self) -> _Answer:
        """Forward and read the whole answer, whether the client waits for it or not."""
        upstream = self.connection.upstream()
        upstream.before_read = None
        head = self.forward(upstream)
        return _Answer(head, b"".join(wire.answer_body(upstream, head, self.seen.method)))

    def send(self, data: bytes) -> None:
        """Send to the client."""
        self.client.sock.sendall(data)

    def send_error(self, extra: str = "", body: t.Optional[bytes] = None) -> bool:
        """Answer as the fault says; the connection stays open."""
        fault = self.fault
        content = fault.body if body is None else body
        reason = http.client.responses.get(fault.status, "Unknown")
        head = (
            f"HTTP/1.1 {fault.status} {reason}\r\n"
            f"Content-Type: {fault.content_type}\r\n"
            f"Content-Length: {len(content)}\r\n{extra}\r\n"
        )
        self.send(head.encode("latin-1") + (b"" if self.seen.method == "HEAD" else content))
        return True


# What each mode does with a request; the result says whether the connection goes on.


def _pass(exchange: _Exchange) -> bool:
    client = exchange.client
    upstream = exchange.connection.upstream()
    # A client that leaves a watch takes the server's connection with it.
    upstream.before_read = lambda: wire.wait_readable(upstream, client)
    head = exchange.forward(upstream)
    exchange.send(head.raw)
    for piece in wire.answer_body(upstream, head, exchange.seen.method):
        exchange.send(piece)
    return not wire.answer_ends_connection(head, exchange.seen.method)


def _reset(exchange: _Exchange) -> bool:
    # Closing without lingering sends a RST.
    exchange.client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    return False


def _hang(exchange: _Exchange) -> bool:
    while exchange.client.sock.recv(65536):
        continue
    return False


def _cut_before_forward(exchange: _Exchange) -> bool:
    return False


def _cut_after_forward(exchange: _Exchange) -> bool:
    exchange.answer()
    return False


def _error_after_commit(exchange: _Exchange) -> bool:
    exchange.answer()
    return exchange.send_error()


def _error_instead(exchange: _Exchange) -> bool:
    return exchange.send_error()


def _garbage(exchange: _Exchange) -> bool:
    exchange.send(exchange.fault.body)
    return False


def _truncate(exchange: _Exchange) -> bool:
    head, body = exchange.answer()
    exchange.send(head.raw + body[: len(body) // 2])
    return False


def _stall(exchange: _Exchange) -> bool:
    head, body = exchange.answer()
    exchange.send(head.raw + body[: len(body) // 2])
    return _hang(exchange)


def _drip(exchange: _Exchange) -> bool:
    answer = exchange.answer()
    for byte in answer.raw:
        exchange.send(bytes([byte]))
        if exchange.connection.proxy.stopped.wait(exchange.fault.delay):
            return False
    return not wire.answer_ends_connection(answer.head, exchange.seen.method)


def _delay(exchange: _Exchange) -> bool:
    if exchange.connection.proxy.stopped.wait(exchange.fault.delay):
        return False
    answer = exchange.answer()
    exchange.send(answer.raw)
    return not wire.answer_ends_connection(answer.head, exchange.seen.method)


def _redirect(exchange: _Exchange) -> bool:
    location = exchange.fault.location
    if location is None:
        location = exchange.connection.proxy.upstream_url + exchange.seen.target
    return exchange.send_error(f"Location: {location}\r\n", b"")


_ACTIONS: t.Dict[str, t.Callable[[_Exchange], bool]] = {
    "pass": _pass,
    "reset": _reset,
    "hang": _hang,
    "cut_before_forward": _cut_before_forward,
    "cut_after_forward": _cut_after_forward,
    "error_after_commit": _error_after_commit,
    "error_instead": _error_instead,
    "garbage": _garbage,
    "stall": _stall,
    "truncate": _truncate,
    "drip": _drip,
    "delay": _delay,
    "redirect": _redirect,
}

MODES = tuple(_ACTIONS) + _CONNECTION_MODES


def _shut(sock: socket.socket) -> None:
    """Wake up whoever reads from a socket, with an end of file."""
    # Not the method of an SSL socket, which would take its TLS state away from under a reader.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
