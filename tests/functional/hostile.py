# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is none of etcd's and answers whatever a test wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import typing as t

from harness import wire

Answering = t.Callable[[socket.socket], None]


class Hostile:
    """Listens on loopback, reads each request, and answers as it is told to.

    Args:
        answer: what is done with the connection once a request has come.
        context: for TLS; a connection whose handshake fails is closed.

    Attributes:
        heads: of the requests that came.
    """

    def __init__(self, answer: Answering, context: t.Optional[ssl.SSLContext] = None) -> None:
        self.heads: t.List[bytes] = []
        self._answer = answer
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "%s://127.0.0.1:%d" % (
            "http" if context is None else "https",
            self._listener.getsockname()[1],
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Hostile:
        return self

    def __exit__(self, *unused: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), self._secured(sock) as sock:
            stream = wire.Stream(sock)
            try:
                head = wire.read_head(stream)
                # A connection that is closed with bytes unread is reset, and its answer lost.
                for unused in wire.request_body(stream, head):
                    continue
            except wire.Gone:
                return
            self.heads.append(head.raw)
            self._answer(sock)

    def _secured(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(20)
        if self._context is None:
            return sock
        return self._context.wrap_socket(sock, server_side=True)


def says(*pieces: bytes) -> Answering:
    """These bytes, and the end of the connection."""

    def answer(sock: socket.socket) -> None:
        for piece in pieces:
            sock.sendall(piece)

    return answer


def tunnels_to(host: str, port: int) -> Answering:
    """What a proxy does with CONNECT: it passes bytes both ways, and knows nothing of them."""

    def answer(sock: socket.socket) -> None:
        with socket.create_connection((host, port)) as other:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=_pour, args=(other, sock), daemon=True).start()
            _pour(sock, other)

    return answer


def _pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class Deaf(Hostile):
    """Answers whatever comes, though it may be no request; `heads` has its first bytes."""

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), self._secured(sock) as sock:
            self.heads.append(sock.recv(65536))
            self._answer(sock)


class Tired(Hostile):
    """Passes the first request of each connection on to a server, and goes when there is a second.

    As a server does that closes an idle connection at the moment at which a request is sent. It
    neither reads nor answers that.
    """

    def __init__(self, url: str) -> None:
        host, unused, port = url.partition("://")[2].partition(":")
        self._server = (host, int(port))
        super().__init__(says())

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, wire.Gone), sock:
            sock.settimeout(20)
            stream = wire.Stream(sock)
            head = wire.read_head(stream)
            body = b"".join(wire.request_body(stream, head))
            self.heads.append(head.raw)
            with socket.create_connection(self._server) as server:
                server.sendall(head.raw + body)
                answer = wire.Stream(server)
                answer_head = wire.read_head(answer)
                method = head.start.split(" ")[0]
                rest = b"".join(wire.answer_body(answer, answer_head, method))
            sock.sendall(answer_head.raw + rest)
            sock.recv(1)


class Alerting(Hostile):
    """Passes requests over TLS on to a server, and answers the second one with an alert only.

    Args:
        server: an http URL.
    """

    def __init__(self, server: str, context: ssl.SSLContext) -> None:
        host, unused, port = server.partition("://")[2].partition(":")
        self._server = (host, int(port))
        super().__init__(says(), context)

    def _serve(self, sock: socket.socket) -> None:
        assert self._context is not None
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(coming, going, server_side=True)

        def until_done(call: t.Callable[[], t.Any]) -> t.Any:
            while True:
                try:
                    done = call()
                except ssl.SSLWantReadError:
                    sock.sendall(going.read())
                    coming.write(sock.recv(65536))
                    continue
                sock.sendall(going.read())
                return done

        with contextlib.suppress(OSError), sock:
            sock.settimeout(20)
            until_done(tls.do_handshake)
            for last in (False, True):
                # Each request is small enough to come at once.
                request = until_done(lambda: tls.read(65536))
                self.heads.append(request)
                with socket.create_connection(self._server) as server:
                    server.sendall(
                        request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
                    )
                    answer = b"".join(iter(lambda: server.recv(65536), b""))
                if not last:
                    answer = answer.replace(b"Connection: close\r\n", b"")
                    until_done(lambda: tls.write(answer))
            # A record that cannot be read: what is left to do is to say so.
            coming.write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            try:
                tls.read(1)
            except ssl.SSLError:
                sock.sendall(going.read())
