# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints: reading what people write, and remembering which ones answer.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import re
import socket
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils._types import Endpoint
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

SCHEMES = ("http", "https")

_HOST = re.compile(r"[^\s/?#@\[\]:,\\%\x00-\x1f\x7f]+")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[\w.-]+)?")


def parse_peer_url(text: t.Any) -> str:
    """The one form of a peer URL: lower case, with its port (2380 if it names none), no path.

    Raises:
        ClientException: it is no URL of this kind.
    """
    if not isinstance(text, str) or "://" not in text:
        raise ClientException(
            "a peer URL is written with its scheme, such as http://10.0.1.10:2380, not %s"
            % _safe(text)
        )
    return parse(text, port=2380).url


def parse(text: t.Any, *, port: int = 2379, protocol: str = "http") -> Endpoint:
    """Read one endpoint: a URL, ``host``, ``host:port``, or an IPv6 address, bare or in brackets.

    An IPv6 address with a port needs the brackets: ``::1:2379`` is an address, too.

    Args:
        text: blanks around it and trailing slashes are tolerated.
        port: for an endpoint that names none.
        protocol: ``http`` or ``https``, for an endpoint that names none.

    Raises:
        ClientException: it is none of these, or has a path, a query or credentials.
    """
    if not isinstance(text, str) or not text.strip():
        raise ClientException("an endpoint is a URL or a host name, not %r" % (text,))
    rest = text.strip()
    scheme, separator, after = rest.partition("://")
    if separator:
        scheme, rest = scheme.lower(), after
    else:
        scheme = protocol
    if scheme not in SCHEMES:
        raise ClientException(
            "endpoint %s has the scheme %r; write http:// or https://" % (_safe(text), scheme)
        )
    rest = rest.rstrip("/")
    if "@" in rest:
        raise ClientException(
            "endpoint %s holds credentials; give them as username and password" % _safe(text)
        )
    if re.search(r"[/?#]", rest):
        raise ClientException(
            "endpoint %s has a path or query; write only scheme, host and port" % _safe(text)
        )
    _refuse_two_readings(rest, text)
    host, port_text = _split(rest)
    if host is None:
        raise ClientException(
            "endpoint %s has no valid host; write for example https://etcd1.example.com:2379"
            % _safe(text)
        )
    return Endpoint(scheme, host, _port(port if port_text is None else port_text, text))


def parse_url(text: t.Any, *, port: int = 2379) -> t.Optional[Endpoint]:
    """The endpoint of a URL that a member advertises; None where it is no http or https one.

    Args:
        port: for a URL that names none.
    """
    try:
        return parse(text, port=port) if isinstance(text, str) and "://" in text else None
    except ClientException:
        return None


def parse_all(
    texts: t.Iterable[t.Any], *, port: int = 2379, protocol: str = "http"
) -> t.Tuple[Endpoint, ...]:
    """Read endpoints, or (host, port) pairs, in their order and without duplicates.

    Raises:
        ClientException: one of them is no endpoint, or there is none.
    """
    if protocol not in SCHEMES:
        raise ClientException("protocol is http or https, not %r" % (protocol,))
    found = []  # type: t.List[Endpoint]
    for text in texts:
        if isinstance(text, (tuple, list)):
            if len(text) != 2:
                raise ClientException("an endpoint pair is (host, port), not %r" % (text,))
            endpoint = parse(text[0], port=_port(text[1], text), protocol=protocol)
        else:
            endpoint = parse(text, port=_port(port, text), protocol=protocol)
        if endpoint not in found:
            found.append(endpoint)
    if not found:
        raise ClientException("there is no endpoint; give at least one")
    return tuple(found)


def _refuse_two_readings(rest: str, text: str) -> None:
    """An IPv6 address without brackets, of which the last part may be a port.

    Raises:
        ClientException: it can be read in two ways.
    """
    address, unused, port = rest.rpartition(":")
    if not _is_port(port) or not _is_ipv6(address):
        return
    scheme = text.strip()[: text.strip().find(rest)]
    ways = "%s[%s]:%s" % (scheme, address, port)
    if _is_ipv6(rest):
        ways += ", or %s[%s] if %s is part of the address" % (scheme, rest, port)
    raise ClientException(
        "endpoint %s has an IPv6 address and a port, or an address only; write the brackets: %s"
        % (_safe(text), ways)
    )


def _is_ipv6(text: str) -> bool:
    if not _IPV6.fullmatch(text):
        return False
    try:
        socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except OSError:
        return False
    return True


def _split(rest: str) -> t.Tuple[t.Optional[str], t.Optional[str]]:
    """Host and port text of ``host[:port]``; no host where it has none that is valid."""
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (tail and not tail.startswith(":")):
            return None, None
        return host.lower(), tail[1:] if tail else None
    if rest.count(":") > 1 and _IPV6.fullmatch(rest):
        return rest.lower() if _is_ipv6(rest) else None, None
    host, colon, port = rest.partition(":")
    if not _HOST.fullmatch(host):
        return None, None
    return _in_ascii(host.lower()), port if colon else None


def _in_ascii(host: str) -> t.Optional[str]:
    """The host name as DNS, HTTP and certificates spell it; None where they cannot."""
    if host.isascii():
        return host
    try:
        spelt = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    # Some characters stand for several, among which there may be a blank or a slash.
    return spelt if _HOST.fullmatch(spelt) else None


def _port(value: t.Any, text: t.Any) -> int:
    number = -1
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and _is_port(value):
        number = int(value)
    if not 0 < number < 65536:
        raise ClientException(
            "endpoint %s has the port %r; a port is a number from 1 to 65535" % (_safe(text), value)
        )
    return number


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536


def credentials_in(text: str) -> t.List[str]:
    """What may be secret in an endpoint that holds credentials: all before the @, and a password."""
    user = text.rpartition("://")[2].rpartition("@")[0]
    return [secret for secret in (user, user.partition(":")[2]) if secret]


def _safe(text: t.Any) -> str:
    """The text without what may be a password before an @."""
    return re.sub(r"^(\w+://)?.*@", r"\1***@", str(text).strip(), flags=re.DOTALL)


class Pool:
    """Which endpoint to ask next.

    The one that answered last comes first. One that failed goes to the back for a while that
    doubles with each failure in a row, from `backoff` to `max_backoff` seconds; it is never left
    out. One whose answer is late comes after those that owe none, until it has come. Holds no lock:
    every method is one assignment or one sort of a snapshot.
    """

    def __init__(
        self, endpoints: t.Sequence[Endpoint], *, backoff: float = 1.0, max_backoff: float = 60.0
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._backoff = backoff
        self._max_backoff = max_backoff
        self._preferred = self._endpoints[0]
        self._failures = {}  # type: t.Dict[Endpoint, t.Tuple[int, float]]
        self._late = set()  # type: t.Set[Endpoint]

    def order(self, now: float) -> t.Tuple[Endpoint, ...]:
        """All endpoints, the most promising first, at this reading of the clock."""

        def rank(endpoint: Endpoint) -> t.Tuple[float, bool, bool]:
            until = self._failures.get(endpoint, (0, now))[1]
            return (max(until, now), endpoint in self._late, endpoint != self._preferred)

        return tuple(sorted(self._endpoints, key=rank))

    def answered(self, endpoint: Endpoint) -> None:
        """Remember that this endpoint works: ask it first."""
        self.came(endpoint)
        self._preferred = endpoint

    def came(self, endpoint: Endpoint) -> None:
        """Remember that this endpoint works, though another one answered sooner."""
        self._failures.pop(endpoint, None)
        self._late.discard(endpoint)

    def late(self, endpoint: Endpoint) -> None:
        """Remember that this endpoint owes an answer."""
        self._late.add(endpoint)

    def failed(self, endpoint: Endpoint, now: float) -> None:
        """Remember that this endpoint did not answer: ask it last for a while."""
        count = self._failures.get(endpoint, (0, 0.0))[0] + 1
        pause = min(self._backoff * 2 ** min(count - 1, 16), self._max_backoff)
        self._failures[endpoint] = (count, now + pause)
        self._late.discard(endpoint)
