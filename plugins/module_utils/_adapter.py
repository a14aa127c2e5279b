# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections that requests' adapter makes, where TLS, certificates or proxies are concerned.

PRIVATE to the collection: it can change at any time.

Its pools make, check and keep them; what goes over them is written and read as on all others. This
is the only place where an exception of these libraries, or of TLS, becomes one of ours.
"""

from __future__ import annotations

import functools
import http.client
import re
import socket
import ssl
import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _connecting, _deps, _lines
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    AttemptFailed,
    Endpoint,
    Failure,
    Tls,
)
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

#: Alerts (RFC 8446, section 6.2) that refuse a certificate or the handshake. With TLS 1.3 the
#: server's verdict on our certificate comes after the handshake has ended on our side, and what we
#: sent by then is never read. All other alerts may come at any time, also after a request was
#: carried out, and so may an end of the stream without one.
_REFUSALS = frozenset(
    (
        "BAD_CERTIFICATE",
        "UNSUPPORTED_CERTIFICATE",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_UNKNOWN",
        "UNKNOWN_CA",
        "ACCESS_DENIED",
        "CERTIFICATE_REQUIRED",
        "HANDSHAKE_FAILURE",
        "DECRYPT_ERROR",
        "PROTOCOL_VERSION",
        "INSUFFICIENT_SECURITY",
        "INAPPROPRIATE_FALLBACK",
        "MISSING_EXTENSION",
        "UNSUPPORTED_EXTENSION",
        "UNRECOGNIZED_NAME",
        "NO_APPLICATION_PROTOCOL",
    )
)

#: How a TLS handshake ends where the other side just goes.
_UNFINISHED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)

#: What http.client says of a proxy that does not let us through, by the status of its answer.
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: 4\d\d")

#: Those of them that a server answers with to a client that has shown no certificate. Observed:
#: BAD_CERTIFICATE on etcd 3.4.23 and 3.5.1, and CERTIFICATE_REQUIRED (TLS 1.3) or HANDSHAKE_FAILURE
#: (TLS 1.2) on 3.5.30.
_ASKS_FOR_CERTIFICATE = ("BAD_CERTIFICATE", "CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")


class AdapterLine:
    """Connections to one endpoint (a `_lines.Line`).

    Args:
        pool: a connection pool of urllib3.
        failures: what its connections raise besides OSError.
        refusal: of those, what says that a certificate is for another host.
        new_context: makes the settings of one connection's TLS; None for none.
        base, headers: as in `_lines.Line`.
        host: whose addresses to connect to; None where a proxy is between, which the pool knows.
        identified: whether we have a certificate to show.
    """

    waiting = (
        BlockingIOError,
        ssl.SSLWantReadError,
        ssl.SSLWantWriteError,
    )  # type: t.Tuple[t.Type[OSError], ...]

    def __init__(
        self,
        pool: t.Any,
        failures: t.Tuple[t.Type[Exception], ...],
        refusal: t.Type[Exception],
        new_context: t.Optional[t.Callable[[], ssl.SSLContext]] = None,
        base: str = "",
        headers: t.Optional[t.Mapping[str, str]] = None,
        host: t.Optional[_connecting.Host] = None,
        identified: bool = False,
    ) -> None:
        self._pool = pool
        self._identified = identified
        self._host = host
        self._failures = failures + (OSError, UnicodeError, http.client.HTTPException)
        self._refusal = refusal
        self._new_context = new_context
        self.base = base
        self.headers = headers or {}

    def take(self) -> t.Optional[_lines.Connection]:
        connection = self._pool._get_conn()
        if connection.sock is not None:
            return connection
        self._pool._put_conn(connection)
        return None

    def make(self, seconds: float) -> _lines.Connection:
        """As in `_lines.Line`.

        The library bounds each step, not all of them together: hence the threads.
        """
        deadline = time.monotonic() + seconds
        addresses = [None]  # type: t.List[t.Optional[str]]
        try:
            if self._host is not None:
                found = self._host.addresses(seconds)
                addresses = [address[0] for unused, unused, unused, address in found]
            calls = [functools.partial(self._connect, address, seconds) for address in addresses]
            left = max(deadline - time.monotonic(), 0.001)
            return _connecting.first_made(calls, left, (AttemptFailed,), self.drop)
        except (OSError, UnicodeError) as exc:
            raise _lines.not_connected(exc) from exc

    def _connect(self, address: t.Optional[str], seconds: float) -> _lines.Connection:
        connection = self._pool._get_conn()
        if connection.sock is not None:
            # An idle one that another thread has just given back; a new one was asked for.
            connection.close()
        connection.timeout = seconds
        if connection.sock is None and self._new_context is not None:
            connection.ssl_context = self._new_context()
            if address is not None and connection.server_hostname is None:
                # The certificate is for the name, whichever of its addresses answers.
                connection.server_hostname = connection.host
        if connection.sock is None and address is not None:
            connection.host = address
        try:
            if connection.sock is None and self._pool.proxy is not None and not self.base:
                self._pool._prepare_proxy(connection)
            if connection.sock is None:
                connection.connect()
        except self._refusal as exc:
            self.drop(connection)
            raise AttemptFailed(Failure.TLS, "TLS: " + _not_accepted(exc)) from exc
        except self._failures as exc:
            self.drop(connection)
            failed = _not_connected(exc)
            if self._new_context is not None:
                failed.reason += self._hint(_origin(exc))
            raise failed from exc
        return t.cast(_lines.Connection, connection)

    def give_back(self, connection: _lines.Connection) -> None:
        self._pool._put_conn(connection)

    def drop(self, connection: _lines.Connection) -> None:
        connection.close()
        self._pool._put_conn(None)

    def no_answer(
        self, exc: OSError, index: t.Optional[int], *, first: bool = False
    ) -> AttemptFailed:
        if isinstance(exc, ssl.SSLError) and not isinstance(exc, socket.timeout):
            if not first or _alert(exc) not in _REFUSALS:
                return AttemptFailed(Failure.BROKEN, "TLS: " + _words(exc), index)
            return AttemptFailed(Failure.TLS, "TLS: " + _words(exc) + self._hint(exc), index)
        return _lines.no_answer(exc, index)

    def _hint(self, exc: BaseException) -> str:
        """What most likely is wrong where TLS is refused, and what to do."""
        if isinstance(exc, ConnectionResetError) or isinstance(exc, ssl.SSLError):
            if not isinstance(exc, ssl.SSLError) or _is_no_tls(exc):
                return "; if this is a port for http, write http:// in the endpoint"
            if not self._identified and _alert(exc) in _ASKS_FOR_CERTIFICATE:
                return (
                    "; the server may ask for a client certificate, and none was given: set"
                    " client_cert and client_key"
                )
        return ""

    def close(self) -> None:
        self._pool.close()


class Adapter:
    """Opens lines; its pools are kept with it.

    Args:
        tls: trust and identity for https endpoints.
        use_proxy: whether the environment's proxy settings apply.
        connections: how many connections to one endpoint are kept.

    Raises:
        MissingLibrary: requests is not installed.
    """

    def __init__(self, tls: Tls, *, use_proxy: bool, connections: int) -> None:
        self._requests, self._urllib3 = _deps.load_requests()
        self._tls = tls
        self._use_proxy = use_proxy
        self._adapter = self._requests.adapters.HTTPAdapter(
            pool_connections=64, pool_maxsize=connections, max_retries=0
        )

    def open(self, endpoint: Endpoint) -> AdapterLine:
        """The way to an endpoint; nothing is sent yet.

        Raises:
            AttemptFailed: the proxy's URL cannot be used.
            ClientException: a certificate or key file cannot be used.
        """
        requests = self._requests
        url = endpoint.url
        proxies = requests.utils.get_environ_proxies(url) if self._use_proxy else {}
        secure = endpoint.scheme == "https"
        cert = _identity(self._tls) if secure else None
        verify = self._authorities() if secure else True
        failures = (self._urllib3.exceptions.HTTPError,)
        # Of its own, and no OSError, where it compares the names itself: before version 2.
        refusal = self._urllib3.connection.CertificateError
        try:
            if hasattr(self._adapter, "get_connection_with_tls_context"):
                prepared = requests.Request("GET", url).prepare()
                pool = self._adapter.get_connection_with_tls_context(
                    prepared, verify, proxies=proxies, cert=cert
                )
            else:
                pool = self._adapter.get_connection(url, proxies)
                self._adapter.cert_verify(pool, url, verify, cert)
        except (requests.exceptions.RequestException,) + failures as exc:
            raise AttemptFailed(Failure.UNUSABLE, str(exc)) from exc
        host = _connecting.Host(endpoint.host, endpoint.port)
        proxy = requests.utils.select_proxy(url, proxies)
        if secure:
            context = self._new_context
            return AdapterLine(
                pool,
                failures,
                refusal,
                context,
                host=host if not proxy else None,
                identified=cert is not None,
            )
        if proxy is None:
            return AdapterLine(pool, failures, refusal, host=host)
        headers = self._adapter.proxy_headers(proxy)
        return AdapterLine(pool, failures, refusal, base=url, headers=headers)

    def _new_context(self) -> ssl.SSLContext:
        """TLS 1.2 at least (RFC 8996), also where the libraries or a system's settings allow less."""
        required = ssl.CERT_REQUIRED if self._tls.verify else ssl.CERT_NONE
        context = self._urllib3.util.ssl_.create_urllib3_context(cert_reqs=required)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context  # type: ignore[no-any-return]

    def _authorities(self) -> t.Union[str, bool]:
        """Path of the authorities to trust, once they have been seen to load; False for anybody."""
        if not self._tls.verify:
            return False
        path = self._tls.ca_cert
        if path is None:
            return self._requests.certs.where()  # type: ignore[no-any-return]
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except OSError as exc:
            raise ClientException(
                "ca_cert %s cannot be used: %s (it is a PEM file of certificates)"
                % (path, _words(exc))
            ) from exc
        return path


def _identity(tls: Tls) -> t.Optional[t.Tuple[str, str]]:
    """Paths of the client's certificate and key, once they have been seen to load."""
    if tls.client_cert is None or tls.client_key is None:
        return None
    pair = (tls.client_cert, tls.client_key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*pair, password="")
    except OSError as exc:
        raise ClientException(
            "client_cert %s and client_key %s cannot be used: %s (both are unencrypted PEM"
            " files that belong together)" % (pair + (_words(exc),))
        ) from exc
    return pair


def _not_connected(exc: Exception) -> AttemptFailed:
    origin = _origin(exc)
    if isinstance(origin, _UNFINISHED):
        # The handshake broke off, as where a load balancer has no server to pass it on to.
        return AttemptFailed(Failure.NOT_SENT, "TLS: " + _words(origin))
    if isinstance(origin, ssl.SSLError) and not isinstance(origin, socket.timeout):
        return AttemptFailed(Failure.TLS, "TLS: " + _words(origin))
    if isinstance(origin, http.client.RemoteDisconnected):
        return AttemptFailed(Failure.NOT_SENT, _words(origin))
    if isinstance(origin, OSError) and not _TUNNEL_REFUSED.match(str(origin)):
        return _lines.not_connected(origin)
    return AttemptFailed(Failure.UNUSABLE, _words(origin))


def _is_no_tls(exc: ssl.SSLError) -> bool:
    """Whether a handshake ended as it does where the server knows no TLS.

    All etcd versions that were looked at (3.4.23 to 3.5.30) hang up; other servers answer in the
    clear.
    """
    reason = getattr(exc, "reason", None) or ""
    return isinstance(exc, _UNFINISHED) or reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")


def _alert(exc: ssl.SSLError) -> str:
    """The name of the alert that the server sent, in OpenSSL's spelling; "" if it was none.

    OpenSSL calls them TLSV1_ALERT_UNKNOWN_CA, SSLV3_ALERT_BAD_CERTIFICATE, TLSV1_UNRECOGNIZED_NAME.
    """
    protocol, unused, name = (getattr(exc, "reason", None) or "").partition("_")
    if protocol not in ("SSLV3", "TLSV1", "TLSV13"):
        return ""
    return name[len("ALERT_") :] if name.startswith("ALERT_") else name


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
    if isinstance(exc, ssl.CertificateError):
        return _not_accepted(getattr(exc, "verify_message", exc))
    if isinstance(exc, ssl.SSLError):
        return (getattr(exc, "reason", None) or str(exc)).lower().replace("_", " ")
    if isinstance(exc, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(exc, http.client.HTTPException):
        return "the answer is not HTTP"
    return _lines.words(exc)


def _not_accepted(reason: t.Union[str, Exception]) -> str:
    return "the certificate is not accepted: %s" % reason
