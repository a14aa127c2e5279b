# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request to one endpoint, over kept-alive connections.

PRIVATE to the collection: it can change at any time.

The pools of requests' adapter make, check and keep the connections where TLS, certificates or proxies
are concerned; plain http to an endpoint needs none of that, and importing requests would cost each
task more than all its requests do. The exchange on a connection is http.client's, from which all of
them inherit: it tells exactly whether a request has left, what was sent can be waited for without a
thread, and it takes half the time. This is the only place where an exception of these libraries
becomes one of ours.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import threading
import time
import typing as t
from collections import deque

from ansible_collections.quorum.etcd.plugins.module_utils import _deps
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
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

#: Bytes to read of a body before the clock is looked at again.
_PIECE = 1 << 16


class _Line(t.NamedTuple):
    """How an endpoint is reached.

    Attributes:
        pool: makes, checks and keeps connections.
        failures: what its connections raise besides OSError.
        base: what goes before the path: the endpoint's URL, where a proxy wants it.
        headers: for the proxy.
    """

    pool: t.Any
    failures: t.Tuple[t.Type[Exception], ...] = ()
    base: str = ""
    headers: t.Mapping[str, str] = {}


class _PlainPool:
    """Connections to an http endpoint that is reached directly, in the shape of urllib3's pool."""

    proxy = None

    def __init__(self, endpoint: Endpoint, size: int) -> None:
        self._endpoint = endpoint
        self._idle = deque(maxlen=size)  # type: t.Deque[http.client.HTTPConnection]

    def _get_conn(self) -> http.client.HTTPConnection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return http.client.HTTPConnection(self._endpoint.host, self._endpoint.port)
            if connection.sock is not None and not _readable(connection.sock, 0):
                return connection
            # What can be read before anything was asked is the end of the connection.
            connection.close()

    def _put_conn(self, connection: t.Optional[http.client.HTTPConnection]) -> None:
        if connection is not None:
            self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class Http:
    """Sends requests; thread-safe, as the pools are.

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
        self._headers = {"User-Agent": "quorum.etcd"}
        if authorization is not None:
            self._headers["Authorization"] = authorization
        self._connections = connections
        self._adapter = None  # type: t.Any
        self._lines = {}  # type: t.Dict[Endpoint, _Line]

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """Send the request once and return the answer, whatever its status.

        Raises:
            AttemptFailed: there was no whole answer.
            ClientException: a certificate or key file cannot be used.
            MissingLibrary: requests is needed and not installed.
        """
        line = self._lines.get(endpoint) or self._open(endpoint)
        connection = line.pool._get_conn()
        if connection.sock is None:
            self._connect(line, connection, patience.connect)
        return self._send(line, connection, endpoint, request, patience).finish()

    def begin(
        self, endpoint: Endpoint, request: Request, patience: Patience
    ) -> t.Optional["Exchange"]:
        """Send a request that may be sent twice, if a connection is open, and do not wait.

        Returns:
            None if no connection to this endpoint is open, or the one that was has broken.
        """
        line = self._lines.get(endpoint)
        if line is None:
            return None
        connection = line.pool._get_conn()
        if connection.sock is None:
            line.pool._put_conn(connection)
            return None
        try:
            return self._send(line, connection, endpoint, request, patience)
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

        line = self._lines.get(endpoint) or self._open(endpoint)
        held = {one.sock: one for one in self._connected(line, connections, patience.connect)}
        streams = _streams.Streams(held, silence=patience.read, clock=self._clock)
        host = "[%s]" % endpoint.host.partition("%")[0] if ":" in endpoint.host else endpoint.host
        about = dict(self._headers, Host="%s:%d" % (host, endpoint.port), **line.headers)
        head = "".join("%s: %s\r\n" % pair for pair in about.items())
        messages = ((mark, _message(line.base, head, request)) for mark, request in requests)
        for mark, ending in streams.exchange(messages):
            if isinstance(ending, _streams.Reply):
                yield mark, Answer(ending.status, ending.headers, ending.body, endpoint)
            else:
                yield mark, _no_answer(ending, None)
        for sock in streams.usable:
            sock.setblocking(True)
            line.pool._put_conn(held.pop(sock))
        for connection in held.values():
            connection.close()
            line.pool._put_conn(None)

    def _connected(self, line: _Line, count: int, seconds: float) -> t.List[t.Any]:
        """As many connections as there come, up to the count.

        Raises:
            AttemptFailed: there comes none.
        """
        found = [line.pool._get_conn() for unused in range(count)]
        fresh = [connection for connection in found if connection.sock is None]
        failures = []  # type: t.List[AttemptFailed]

        def connect(connection: t.Any) -> None:
            try:
                self._connect(line, connection, seconds)
            except AttemptFailed as exc:
                failures.append(exc)

        threads = [threading.Thread(target=connect, args=(one,)) for one in fresh]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        connected = [connection for connection in found if connection.sock is not None]
        if not connected:
            raise failures[0]
        return connected

    def close(self) -> None:
        """Close the connections that are idle."""
        for line in self._lines.values():
            line.pool.close()
        self._lines.clear()

    def _connect(self, line: _Line, connection: t.Any, seconds: float) -> None:
        connection.timeout = seconds
        try:
            if line.pool.proxy is not None and not line.base:
                line.pool._prepare_proxy(connection)
            if connection.sock is None:
                connection.connect()
        except (OSError, http.client.HTTPException) + line.failures as exc:
            connection.close()
            line.pool._put_conn(None)
            raise _not_connected(exc) from exc

    def _send(
        self,
        line: _Line,
        connection: t.Any,
        endpoint: Endpoint,
        request: Request,
        patience: Patience,
    ) -> "Exchange":
        headers = self._headers
        if request.content_type is not None or line.headers:
            headers = dict(headers, **line.headers)
            if request.content_type is not None:
                headers["Content-Type"] = request.content_type
        exchange = Exchange(line.pool, connection, endpoint, request, self._clock, patience.total)
        with exchange.failing_as_ours():
            connection.sock.settimeout(patience.read)
            http.client.HTTPConnection.request(
                connection,
                request.method,
                line.base + request.target,
                body=request.body,
                headers=headers,
            )
        return exchange

    def _open(self, endpoint: Endpoint) -> _Line:
        if endpoint.scheme == "http" and not self._use_proxy:
            line = _Line(_PlainPool(endpoint, self._connections))
        else:
            line = self._open_through_requests(endpoint)
        self._lines[endpoint] = line
        return line

    def _open_through_requests(self, endpoint: Endpoint) -> _Line:
        requests, urllib3 = _deps.load_requests()
        if self._adapter is None:
            self._adapter = requests.adapters.HTTPAdapter(
                pool_connections=64, pool_maxsize=self._connections, max_retries=0
            )
        url = endpoint.url
        proxies = requests.utils.get_environ_proxies(url) if self._use_proxy else {}
        secure = endpoint.scheme == "https"
        cert = self._identity() if secure else None
        verify = self._authorities() if secure else True
        try:
            if hasattr(self._adapter, "get_connection_with_tls_context"):
                prepared = requests.Request("GET", url).prepare()
                pool = self._adapter.get_connection_with_tls_context(
                    prepared, verify, proxies=proxies, cert=cert
                )
            else:
                pool = self._adapter.get_connection(url, proxies)
                self._adapter.cert_verify(pool, url, verify, cert)
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as exc:
            raise AttemptFailed(Failure.NOT_SENT, str(exc)) from exc
        failures = (urllib3.exceptions.HTTPError,)
        proxy = requests.utils.select_proxy(url, proxies)
        if proxy is not None and not secure:
            return _Line(pool, failures, url, self._adapter.proxy_headers(proxy))
        return _Line(pool, failures)

    def _authorities(self) -> t.Union[str, bool]:
        """Path of the authorities to trust, once they have been seen to load.

        True for those that come with requests, False to trust anybody.
        """
        if not self._tls.verify:
            return False
        if self._tls.ca_cert is None:
            return True
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self._tls.ca_cert)
        except OSError as exc:
            raise ClientException(
                "ca_cert %s cannot be used: %s (it is a PEM file of certificates)"
                % (self._tls.ca_cert, _words(exc))
            ) from exc
        return self._tls.ca_cert

    def _identity(self) -> t.Optional[t.Tuple[str, str]]:
        """Paths of the client's certificate and key, once they have been seen to load."""
        if self._tls.client_cert is None or self._tls.client_key is None:
            return None
        pair = (self._tls.client_cert, self._tls.client_key)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*pair, password="")
        except OSError as exc:
            raise ClientException(
                "client_cert %s and client_key %s cannot be used: %s (both are unencrypted PEM"
                " files that belong together)" % (pair + (_words(exc),))
            ) from exc
        return pair


class Exchange:
    """A request that was sent, and whose answer is still to be read."""

    __slots__ = ("_pool", "_connection", "_endpoint", "_request", "_clock", "_deadline", "_index")

    def __init__(
        self,
        pool: t.Any,
        connection: t.Any,
        endpoint: Endpoint,
        request: Request,
        clock: t.Callable[[], float],
        seconds: float,
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._endpoint = endpoint
        self._request = request
        self._clock = clock
        self._deadline = clock() + seconds
        self._index = None  # type: t.Optional[int]

    def ready(self, seconds: float) -> bool:
        """Whether an answer, or the end of the connection, comes within this time."""
        sock = self._connection.sock
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        return _readable(sock, seconds)

    def finish(self) -> Answer:
        """Read the answer and give the connection back.

        Raises:
            AttemptFailed: there was no whole answer.
        """
        with self.failing_as_ours():
            response = http.client.HTTPConnection.getresponse(self._connection)
            if self._request.kind is Kind.WAIT:
                # The head comes at once and the body with the event: if the body never comes,
                # the index in the head tells where to go on.
                self._index = header_number(response.headers, "X-Etcd-Index")
                silence = self._request.read_timeout
                if silence is not None:
                    self._deadline += silence
                if self._connection.sock is not None:
                    self._connection.sock.settimeout(silence)
            body = self._body(response)
        self._pool._put_conn(self._connection)
        return Answer(response.status, response.headers, body, self._endpoint)

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        """The whole body; a socket's timeout bounds each silence, the deadline bounds them all."""
        pieces = []
        while response.length != 0:
            piece = response.read1(_PIECE)
            if not piece:
                break
            pieces.append(piece)
            if self._clock() > self._deadline:
                raise socket.timeout("the answer did not end in time")
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.close()
        return b"".join(pieces)

    @contextlib.contextmanager
    def failing_as_ours(self) -> t.Iterator[None]:
        """An exception of the libraries ends the connection and becomes one of ours."""
        try:
            yield
        except (OSError, http.client.HTTPException) as exc:
            self._connection.close()
            self._pool._put_conn(None)
            raise _no_answer(exc, self._index) from exc


def _message(base: str, head: str, request: Request) -> bytes:
    """The request as it goes over the wire; all but its body is ASCII by now."""
    body = request.body or b""
    lines = "%s %s%s HTTP/1.1\r\n%s" % (request.method, base, request.target, head)
    if request.content_type is not None:
        lines += "Content-Type: %s\r\n" % request.content_type
    return ("%sContent-Length: %d\r\n\r\n" % (lines, len(body))).encode("latin-1") + body


def _readable(sock: socket.socket, seconds: float) -> bool:
    """Whether bytes, or the end of the connection, can be read within this time."""
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], max(seconds, 0))[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(max(seconds, 0) * 1000))


def _not_connected(exc: Exception) -> AttemptFailed:
    origin = _origin(exc)
    if isinstance(origin, ssl.SSLError):
        return AttemptFailed(Failure.TLS, "TLS: " + _words(origin))
    if isinstance(origin, socket.timeout):
        return AttemptFailed(Failure.NOT_SENT, "no connection in time")
    return AttemptFailed(Failure.NOT_SENT, _words(origin))


def _no_answer(exc: Exception, index: t.Optional[int]) -> AttemptFailed:
    if isinstance(exc, ssl.SSLError):
        failure = Failure.TLS if _tls_refused(exc) else Failure.BROKEN
        return AttemptFailed(failure, "TLS: " + _words(exc), index)
    if isinstance(exc, socket.timeout):
        return AttemptFailed(Failure.TIMEOUT, "no answer in time", index)
    return AttemptFailed(Failure.BROKEN, _words(exc), index)


def _tls_refused(exc: ssl.SSLError) -> bool:
    """Whether the server refused TLS although the handshake had ended on our side.

    With TLS 1.3 its verdict on our certificate comes after that, as an alert, and what we sent is
    never read. An end of the stream without an alert may come later, and says nothing.
    """
    return "ALERT" in (getattr(exc, "reason", None) or "")


def _origin(exc: BaseException) -> BaseException:
    """The operating system's or TLS library's own exception inside the HTTP library's layers."""
    seen = set()  # type: t.Set[int]
    todo = [exc]  # type: t.List[t.Any]
    while todo:
        one = todo.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, (OSError, ssl.CertificateError)):
            return one
        todo += [one.__cause__, one.__context__]
        todo += list(one.args) + [getattr(one, "reason", None)]
    return exc


def _words(exc: BaseException) -> str:
    """What an exception says, without object addresses and error numbers."""
    if isinstance(exc, ssl.CertificateError):
        return "the certificate is not accepted: %s" % getattr(exc, "verify_message", exc)
    if isinstance(exc, ssl.SSLError):
        return (getattr(exc, "reason", None) or str(exc)).lower().replace("_", " ")
    if isinstance(exc, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(exc, http.client.IncompleteRead):
        return "the answer broke off"
    if isinstance(exc, http.client.HTTPException):
        return "the answer is not HTTP"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror[:1].lower() + exc.strerror[1:]
    return str(exc) or type(exc).__name__
