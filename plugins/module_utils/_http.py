# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request to one endpoint, over the kept-alive connections of requests' adapter.

PRIVATE to the collection: it can change at any time.

The adapter's pools are driven directly: a Session would spend a third of each request on merging
proxy settings, and would follow redirects, which drops the body of a PUT. This is the only place
where an exception of the HTTP library becomes one of ours.
"""

from __future__ import annotations

import socket
import ssl
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _deps
from ansible_collections.quorum.etcd.plugins.module_utils._results import header_number
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    AttemptFailed,
    Endpoint,
    Failure,
    Kind,
    Request,
    Tls,
)
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException


class Http:
    """Sends requests; thread-safe, as the pools are.

    Args:
        tls: trust and identity for https endpoints.
        authorization: value of the Authorization header, or None.
        use_proxy: whether the environment's proxy settings apply.
        connections: how many connections to one endpoint are kept.
    """

    def __init__(
        self,
        *,
        tls: Tls,
        authorization: t.Optional[str] = None,
        use_proxy: bool = False,
        connections: int = 8,
    ) -> None:
        _deps.need_requests()
        self._tls = tls
        self._use_proxy = use_proxy
        self._headers = {"User-Agent": "quorum.etcd"}
        if authorization is not None:
            self._headers["Authorization"] = authorization
        self._adapter = _deps.requests.adapters.HTTPAdapter(
            pool_connections=64, pool_maxsize=connections, max_retries=0
        )
        self._pools = {}  # type: t.Dict[Endpoint, t.Any]

    def exchange(
        self, endpoint: Endpoint, request: Request, *, connect: float, read: float
    ) -> Answer:
        """Send the request once and return the answer, whatever its status.

        Args:
            connect: seconds to connect.
            read: seconds of silence to bear while waiting for the answer; of a watch, for its
                head, which comes at once (its body has the request's own read_timeout).

        Raises:
            AttemptFailed: there was no whole answer.
            ClientException: a certificate or key file cannot be used.
        """
        pool, base = self._pools.get(endpoint) or self._open(endpoint)
        headers = self._headers
        if request.content_type is not None:
            headers = dict(headers, **{"Content-Type": request.content_type})
        index = None
        try:
            response = pool.request(
                request.method,
                base + request.target,
                body=request.body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=_deps.urllib3.Timeout(connect=connect, read=read),
                preload_content=request.kind is not Kind.WAIT,
                decode_content=False,
            )
            if request.kind is Kind.WAIT:
                # The head comes at once and the body with the event: if the body never comes,
                # the index in the head tells where to go on.
                index = header_number(response.headers, "X-Etcd-Index")
                sock = getattr(response.connection, "sock", None)
                if sock is not None:
                    sock.settimeout(request.read_timeout)
            body = response.data
        except _deps.urllib3.exceptions.HTTPError as exc:
            raise _failed(exc, index) from exc
        return Answer(response.status, response.headers, body, endpoint)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._adapter.close()
        self._pools.clear()

    def _open(self, endpoint: Endpoint) -> t.Tuple[t.Any, str]:
        """The pool of this endpoint and what goes before the path (a URL where a proxy wants it)."""
        url = endpoint.url
        proxies = {}  # type: t.Dict[str, str]
        if self._use_proxy:
            proxies = _deps.requests.utils.get_environ_proxies(url)
        cert = self._identity() if endpoint.scheme == "https" else None
        verify = self._tls.ca_cert or True if self._tls.verify else False
        if not self._tls.verify:
            # Warned about once, in words of ours, where the option is read.
            _deps.urllib3.disable_warnings(_deps.urllib3.exceptions.InsecureRequestWarning)
        try:
            if hasattr(self._adapter, "get_connection_with_tls_context"):
                prepared = _deps.requests.Request("GET", url).prepare()
                pool = self._adapter.get_connection_with_tls_context(
                    prepared, verify, proxies=proxies, cert=cert
                )
            else:
                pool = self._adapter.get_connection(url, proxies)
                self._adapter.cert_verify(pool, url, verify, cert)
        except OSError as exc:
            raise ClientException("ca_cert cannot be used: %s" % exc) from exc
        except _deps.requests.exceptions.RequestException as exc:
            raise AttemptFailed(Failure.NOT_SENT, str(exc)) from exc
        proxy = _deps.requests.utils.select_proxy(url, proxies)
        through_proxy = proxy is not None and endpoint.scheme == "http"
        self._pools[endpoint] = opened = (pool, url if through_proxy else "")
        return opened

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


def _failed(exc: Exception, index: t.Optional[int]) -> AttemptFailed:
    kinds = _deps.urllib3.exceptions
    origin = _origin(exc)
    if isinstance(exc, kinds.ProxyError):
        # Before 2.0, urllib3 calls so whatever goes wrong behind a proxy, also after the request
        # was sent; what it wraps tells.
        exc = next((one for one in exc.args if isinstance(one, Exception)), exc)
    if isinstance(exc, kinds.SSLError) or isinstance(origin, ssl.SSLError):
        refused = _tls_refused(origin)
        return AttemptFailed(
            Failure.TLS if refused else Failure.BROKEN, "TLS: " + _words(origin), index
        )
    if isinstance(exc, kinds.NewConnectionError):
        return AttemptFailed(Failure.NOT_SENT, _words(origin), index)
    if isinstance(exc, kinds.ConnectTimeoutError):
        return AttemptFailed(Failure.NOT_SENT, "no connection in time", index)
    if isinstance(exc, kinds.LocationValueError):
        return AttemptFailed(Failure.NOT_SENT, _words(origin), index)
    if isinstance(exc, kinds.ReadTimeoutError) or isinstance(origin, socket.timeout):
        return AttemptFailed(Failure.TIMEOUT, "no answer in time", index)
    return AttemptFailed(Failure.BROKEN, _words(origin), index)


def _tls_refused(origin: BaseException) -> bool:
    """Whether TLS ended before the server could have read a request.

    A certificate that we refuse, and an alert that the peer sends: Go's server sends one only
    while it has not finished the handshake. An end of the stream without an alert may come later.
    """
    if isinstance(origin, ssl.CertificateError):
        return True
    reason = getattr(origin, "reason", None) or ""
    return "ALERT" in reason or reason in (
        "WRONG_VERSION_NUMBER",
        "UNSUPPORTED_PROTOCOL",
        "HTTP_REQUEST",
        "RECORD_LAYER_FAILURE",
    )


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
        return (exc.reason or str(exc)).lower().replace("_", " ")
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror[:1].lower() + exc.strerror[1:]
    return str(exc) or type(exc).__name__
