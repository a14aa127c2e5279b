# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client for keys and directories alone.

PRIVATE to the collection: use `client.Client`, which adds what concerns members and access control.

Most tasks and all lookups need no more, and every line that is imported costs each of them time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import (
    _endpoints,
    _limits,
    _retry,
    _wire,
    errors,
)
from ansible_collections.quorum.etcd.plugins.module_utils._api.keys import Composer, KeysApi
from ansible_collections.quorum.etcd.plugins.module_utils._http import Http
from ansible_collections.quorum.etcd.plugins.module_utils._operation import (
    PAUSE,
    ExchangesRequests,
)
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._transport import Transport
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Endpoint,
    Request,
    Timeouts,
    Tls,
)

#: How many reads are worth more than one connection, and how many they are then sent over.
_MANY = 8
_ABREAST = 8

#: Seconds without an answer after which reads that were sent side by side are sent one by one,
#: which asks other endpoints as well.
_SILENCE = 1.0

#: Seconds between two looks for a write that may still arrive, at most.
_LONGEST_PAUSE = 1.0

_T = t.TypeVar("_T")

Hosts = t.Union[str, t.Sequence[t.Union[str, t.Tuple[str, int]]]]


def _no_warning(text: str) -> None:
    """Where nobody listens for warnings."""


class KeysClient(KeysApi):
    """As `client.Client`, whose arguments it takes, without members and access control."""

    def __init__(
        self,
        host: t.Optional[Hosts] = None,
        port: int = 2379,
        srv_domain: t.Optional[str] = None,
        version_prefix: str = "v2",
        allow_reconnect: bool = True,
        protocol: str = "http",
        *,
        srv_name: t.Optional[str] = None,
        srv_allow_insecure: bool = False,
        ca_cert: t.Optional[str] = None,
        client_cert: t.Optional[str] = None,
        client_key: t.Optional[str] = None,
        validate_certs: bool = True,
        username: t.Optional[str] = None,
        password: t.Optional[str] = None,
        connect_timeout: float = 2.0,
        timeout: float = 10.0,
        total_timeout: float = 30.0,
        hedge_delay: float = 0.1,
        use_proxy: bool = False,
        warn: t.Callable[[str], None] = _no_warning,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
        resolver: t.Any = None,
        http: t.Optional[ExchangesRequests] = None,
    ) -> None:
        if host is not None and srv_domain is not None:
            raise errors.ClientException(
                "endpoints are given, and a domain to find them by; leave out one of the two"
            )
        if srv_name is not None and srv_domain is None:
            raise errors.ClientException("srv_name needs srv_domain")
        if (client_cert is None) != (client_key is None):
            raise errors.ClientException(
                "client_cert and client_key belong together; give both or neither"
            )
        if password is not None and username is None:
            raise errors.ClientException("a password needs a username")
        for name, seconds in (
            ("connect_timeout", connect_timeout),
            ("timeout", timeout),
            ("total_timeout", total_timeout),
            ("hedge_delay", hedge_delay),
        ):
            _limits.seconds(seconds, name)

        hosts = ["127.0.0.1"] if host is None else [host] if isinstance(host, str) else host
        if not isinstance(hosts, (list, tuple)):
            raise errors.ClientException(
                "host is a host name, or a list of host names or (host, port), not %r" % (host,)
            )
        given = _endpoints.parse_all(hosts, port=port, protocol=protocol)

        def find_endpoints(seconds: float) -> t.Sequence[Endpoint]:
            found = given if srv_domain is None else discover(srv_domain, seconds)
            plain = [endpoint.url for endpoint in found if endpoint.scheme == "http"]
            if plain and password:
                warn("the password is sent unencrypted to %s; use https" % ", ".join(plain))
            if len(plain) < len(found) and not validate_certs:
                warn("certificates are not validated: whoever answers is taken for etcd")
            return found

        def discover(domain: str, seconds: float) -> t.Sequence[Endpoint]:
            # Imported here because few tasks need it, and each one pays for what is imported.
            from ansible_collections.quorum.etcd.plugins.module_utils import _discovery

            return _discovery.discover(
                domain,
                name=srv_name,
                allow_insecure=srv_allow_insecure,
                tls_wanted=protocol == "https" or not (ca_cert is None and client_cert is None),
                resolve=_discovery.system_resolve(timeout, seconds, resolver, clock),
                choose=_discovery.random_up_to,
                warn=warn,
            )

        authorization = None
        if username is not None:
            authorization = _wire.basic_authorization(username, password or "")
        self._prefix = _wire.checked_prefix(version_prefix)
        self._clock = clock
        self._sleep = sleep
        self._user = username
        self._silent = False
        self._transport = Transport(
            http
            or Http(
                tls=Tls(ca_cert, client_cert, client_key, validate_certs),
                authorization=authorization,
                use_proxy=use_proxy,
            ),
            find_endpoints,
            timeouts=Timeouts(connect_timeout, timeout, total_timeout),
            hedge_delay=hedge_delay,
            allow_failover=allow_reconnect,
            clock=clock,
            sleep=sleep,
        )

    def endpoints(self) -> t.Tuple[str, ...]:
        """URLs of all endpoints, the one that would be asked first at the head.

        Raises:
            errors.EtcdDiscoveryFailed: DNS discovery gave none.
        """
        return tuple(endpoint.url for endpoint in self._transport.endpoints())

    def composer(self) -> Composer:
        """The operations on keys, as requests for `send_all`."""
        return Composer(self._prefix)

    def send_all(
        self,
        requests: t.Iterable[t.Tuple[t.Any, Request]],
        *,
        connections: int,
        silence: t.Optional[float] = None,
    ) -> t.Iterator[t.Tuple[t.Any, t.Union[EtcdResult, errors.EtcdException]]]:
        """Send requests side by side, each once, to the endpoint that answered last.

        Ends early when that endpoint stops answering: what was not taken from `requests` by then
        was not sent, and can be given to the next call.

        Args:
            requests: from `composer()`, each with a mark to know it by.
            connections: how many are under way at once.
            silence: seconds without an answer after which it counts as stopped; None for
                `timeout`.

        Yields:
            The mark, with its result or the exception that the operation would have raised.
        """
        asked = {}  # type: t.Dict[t.Any, Request]

        def taken() -> t.Iterator[t.Tuple[t.Any, Request]]:
            for mark, request in requests:
                asked[mark] = request
                yield mark, request

        for mark, outcome in self._transport.send_all(
            taken(), connections=connections, silence=silence
        ):
            request = asked.pop(mark)
            if isinstance(outcome, errors.EtcdUnauthorized):
                self._say_who(request, outcome)
            yield mark, outcome

    def read_all(
        self, requests: t.Sequence[Request]
    ) -> t.Iterator[t.Union[EtcdResult, errors.EtcdException]]:
        """Send reads, many of them side by side.

        Args:
            requests: from `composer()`.

        Yields:
            For each, in their order, its result or the exception that the read would have raised.
        """
        settled = {}  # type: t.Dict[int, t.Union[EtcdResult, errors.EtcdException]]
        if len(requests) >= _MANY:
            # The first one finds an endpoint that answers.
            settled[0] = self._outcome(requests[0])
            rest = ((number, requests[number]) for number in range(1, len(requests)))
            for number, outcome in self.send_all(rest, connections=_ABREAST, silence=_SILENCE):
                if isinstance(outcome, (EtcdResult, errors.EtcdKeyNotFound)):
                    settled[number] = outcome
        for number, request in enumerate(requests):
            yield settled[number] if number in settled else self._outcome(request)

    def until_answered(self, ask: t.Callable[[], _T]) -> _T:
        """What `ask` returns, asked again while the cluster does not answer, for `total_timeout`.

        For what has to be known of a write whose answer was lost: one read does with less, and
        fails once no endpoint answers. A cluster that stays silent is asked once from then on, so
        that the time is spent once however many writes there are.

        Args:
            ask: reads only, as it may be called more than once.

        Raises:
            errors.EtcdException: what the last call raised.
        """
        deadline = self._clock() + (0.0 if self._silent else self._transport.timeouts.total)
        while True:
            try:
                answer = ask()
            except errors.EtcdException as exc:
                if not _retry.may_pass(exc):
                    raise
                if self._clock() >= deadline:
                    self._silent = True
                    raise
            else:
                self._silent = False
                return answer
            self._sleep(PAUSE)

    def deadline(self) -> float:
        """When `total_timeout` from now on is over, for `until_seen`."""
        return self._clock() + self._transport.timeouts.total

    def until_seen(self, look: t.Callable[[], t.Optional[_T]], deadline: float) -> t.Optional[_T]:
        """What `look` returns, called again until that is not None or the deadline has passed.

        For a write that may still arrive and must not be sent again. A cluster that does not answer
        meanwhile is asked again.

        Args:
            look: reads only, as it may be called more than once.
            deadline: from `deadline()`; of several looks, each may have the same.

        Raises:
            errors.EtcdException: what the last call raised.
        """
        pause = PAUSE
        while True:
            try:
                seen = look()
            except errors.EtcdException as exc:
                if not _retry.may_pass(exc) or self._clock() >= deadline:
                    raise
            else:
                if seen is not None or self._clock() >= deadline:
                    return seen
            self._sleep(max(min(pause, deadline - self._clock()), 0.0))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _outcome(self, request: Request) -> t.Union[EtcdResult, errors.EtcdException]:
        try:
            return self._send(request)
        except errors.EtcdException as exc:
            return exc

    def _send(self, request: Request) -> EtcdResult:
        return self._send_within(request, None)

    def _send_within(self, request: Request, seconds: t.Optional[float]) -> EtcdResult:
        try:
            # A cluster that stayed silent for its whole time is not waited for again.
            result = self._transport.send(request, patient=not self._silent, seconds=seconds)
        except errors.EtcdUnauthorized as exc:
            self._say_who(request, exc)
            raise
        self._silent = False
        return result

    def _say_who(self, request: Request, exc: errors.EtcdUnauthorized) -> None:
        """The server says neither who was refused nor what."""
        said = exc.message
        needed = _wire.needed_pattern(request)
        if needed is not None:
            said = "%s; %s" % (said, needed)
        exc.message = (
            "a request without a user name may not %s (%s)" % (_wire.in_words(request), said)
            if self._user is None
            else "the user %s may not %s, or the password is wrong (%s)"
            % (self._user, _wire.in_words(request), said)
        )
