# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Frozen records of what travels between the client and an endpoint.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass


class Endpoint(t.NamedTuple):
    """Where one etcd member listens for clients."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        host = "[%s]" % self.host if ":" in self.host else self.host
        return "%s://%s:%d" % (self.scheme, host, self.port)


class Kind(enum.Enum):
    """What a request does to the store; it decides what may be sent again."""

    READ = "read"
    WAIT = "wait"
    WRITE = "write"


class Api(enum.Enum):
    """The families of answers; each has its own success and error bodies."""

    KEYS = "keys"
    MEMBERS = "members"
    AUTH = "auth"
    STATS = "stats"
    SERVER = "server"


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent to any endpoint.

    Attributes:
        target: percent-encoded path with its query.
        body: the encoded body, or None.
        content_type: type of the body, or None.
        read_timeout: seconds to wait for the answer; None for the transport's own.
        fresh_connection: whether it must not go over a connection that was idle. A server may close
            one at the very moment that a request is sent, and nothing tells whether it was read.
            For writes without a condition, of which nobody can find out afterwards whether they
            were carried out.
        anonymous: whether it goes without user name and password: to an endpoint that nobody
            configured.
    """

    kind: Kind
    api: Api
    method: str
    target: str
    body: t.Optional[bytes] = None
    content_type: t.Optional[str] = None
    read_timeout: t.Optional[float] = None
    fresh_connection: bool = False
    anonymous: bool = False

    def __str__(self) -> str:
        return "%s %s" % (self.method, self.target.partition("?")[0])


class Answer(t.NamedTuple):
    """One answer, as it came; `headers` has a `get` that is blind to case."""

    status: int
    headers: t.Any
    body: bytes
    endpoint: Endpoint


class Tls(t.NamedTuple):
    """How an https endpoint is trusted and how we identify ourselves to it (paths of PEM files)."""

    ca_cert: t.Optional[str] = None
    client_cert: t.Optional[str] = None
    client_key: t.Optional[str] = None
    verify: bool = True


class Timeouts(t.NamedTuple):
    """Seconds: to connect, to wait for one answer, and for one operation in all."""

    connect: float = 2.0
    read: float = 10.0
    total: float = 30.0


class Patience(t.NamedTuple):
    """Seconds for one attempt.

    Attributes:
        connect: to connect, name resolution and all addresses of a name included.
        read: of silence to bear, from the last byte that came or went; of a watch, until its head,
            which comes at once (its body has the request's own read_timeout).
        total: from sending the request to the end of the answer, a watch's waiting excepted.
    """

    connect: float
    read: float
    total: float


class Failure(enum.Enum):
    """Where an attempt ended."""

    NOT_SENT = "the request never left"
    UNUSABLE = "the request never left, and will not: there is no such host, or no way to it"
    TLS = "TLS was refused before the request left"
    TIMEOUT = "sent, and no answer in time"
    BROKEN = "sent, and the connection broke before the whole answer came"
    GARBLED = "the answer is not etcd's"
    NOT_SERVED = "the server has no v2 API, and so did nothing"
    SERVER_ERROR = "the server could not carry it through, or does not know whether it did"
    REFUSED = "the server's final word"


class AttemptFailed(Exception):
    """One attempt at one endpoint ended without an answer.

    Attributes:
        failure: where it ended.
        reason: in words, for the error that names every endpoint.
        index: the store's index from the head of an answer whose body never came, or None.
    """

    def __init__(self, failure: Failure, reason: str, index: t.Optional[int] = None) -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason
        self.index = index
