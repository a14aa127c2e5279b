# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network in virtual time: a clock, endpoints with a script, and a race without threads."""

from __future__ import annotations

import json
import typing as t
from collections import deque

from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    AttemptFailed,
    Endpoint,
    Failure,
    Patience,
    Request,
)

#: How long a call takes that heeds no timeout, such as a name resolution that is stuck.
FOR_EVER = 1e6


class FakeClock:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeRace:
    """Takes the place of `_transport.ThreadRace`: calls overlap in virtual time.

    Each call runs as soon as it is started; what it did to the clock is undone and kept as the
    moment at which it will have returned.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._pending = []  # type: t.List[t.Tuple[float, int, t.Any]]

    def start(self, call: t.Callable[[], t.Any]) -> None:
        began = self._clock.now
        returned = call()
        self._pending.append((self._clock.now, len(self._pending), returned))
        self._clock.now = began

    def next(self, seconds: float) -> t.Any:
        until = self._clock.now + max(seconds, 0)
        first = min(self._pending, key=lambda one: one[:2], default=None)
        if first is None or first[0] > until:
            self._clock.now = until
            return None
        self._pending.remove(first)
        self._clock.now = max(self._clock.now, first[0])
        return first[2]


class Reply(t.NamedTuple):
    """What an endpoint does with one request: takes its time, then answers or fails."""

    status: int = 200
    body: t.Any = None
    headers: t.Mapping[str, str] = {}
    after: float = 0.0
    failure: t.Optional[Failure] = None
    reason: str = ""
    index: t.Optional[int] = None


def node_reply(after: float = 0.0, value: str = "v", **node: t.Any) -> Reply:
    """A good answer of the keys API."""
    shown = dict({"key": "/k", "value": value, "createdIndex": 5, "modifiedIndex": 5}, **node)
    return Reply(200, {"action": "get", "node": shown}, {"X-Etcd-Index": "9"}, after)


def error_reply(status: int, code: int, message: str = "no", cause: str = "/k") -> Reply:
    """An error answer with a code."""
    return Reply(status, {"errorCode": code, "message": message, "cause": cause, "index": 9})


MISSING = error_reply(404, 100, "Key not found")
NO_QUORUM = error_reply(500, 300, "Raft Internal Error", "etcdserver: request timed out")
REFUSED = Reply(failure=Failure.NOT_SENT, reason="connection refused")
BLACK_HOLE = Reply(failure=Failure.NOT_SENT, reason="no connection in time", after=FOR_EVER)
SILENT = Reply(failure=Failure.TIMEOUT, reason="no answer in time", after=FOR_EVER)
RESET = Reply(failure=Failure.BROKEN, reason="connection reset by peer")
BAD_CERTIFICATE = Reply(failure=Failure.TLS, reason="TLS: bad certificate")
HTML = Reply(200, b"<html>login</html>")


class Sent(t.NamedTuple):
    """One request that an endpoint got."""

    at: float
    host: str
    method: str
    target: str
    body: t.Optional[bytes]
    connect: float
    read: float
    read_timeout: t.Optional[float]
    anonymous: bool


class FakeExchange:
    """Takes the place of `_http.Exchange`: a request whose answer, or end, comes at some moment."""

    def __init__(
        self, clock: FakeClock, reply: Reply, endpoint: Endpoint, patience: Patience
    ) -> None:
        self._clock = clock
        seconds, self._failed, self._answer = reply.after, None, None
        if reply.failure is not None:
            limit = patience.connect if reply.failure is Failure.NOT_SENT else patience.read
            seconds = min(reply.after, limit)
            self._failed = AttemptFailed(reply.failure, reply.reason, reply.index)
        elif FOR_EVER > reply.after > patience.read:
            seconds = patience.read
            self._failed = AttemptFailed(Failure.TIMEOUT, "no answer in time")
        else:
            raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self._answer = Answer(reply.status, reply.headers, raw, endpoint)
        self._due = clock.now + seconds

    def ready(self, seconds: float) -> bool:
        until = self._clock.now + seconds
        self._clock.now = max(self._clock.now, min(self._due, until))
        return self._due <= until

    def finish(self) -> Answer:
        self._clock.now = max(self._clock.now, self._due)
        if self._failed is not None:
            raise self._failed
        assert self._answer is not None
        return self._answer


class FakeHttp:
    """Takes the place of `_http.Http`.

    Args:
        script: for each host the replies in their order; the last one is given again and again.

    Attributes:
        connected: hosts to which a connection is open.
    """

    def __init__(self, clock: FakeClock, script: t.Mapping[str, t.Sequence[Reply]]) -> None:
        self._clock = clock
        self._script = {host: deque(replies) for host, replies in script.items()}
        self.sent = []  # type: t.List[Sent]
        self.connected = set()  # type: t.Set[str]

    @property
    def hosts(self) -> t.List[str]:
        """Who was asked, in this order."""
        return [one.host for one in self.sent]

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        return self._send(endpoint, request, patience).finish()

    def begin(
        self, endpoint: Endpoint, request: Request, patience: Patience
    ) -> t.Optional[FakeExchange]:
        if endpoint.host not in self.connected:
            return None
        return self._send(endpoint, request, patience)

    def _send(self, endpoint: Endpoint, request: Request, patience: Patience) -> FakeExchange:
        self.sent.append(
            Sent(
                self._clock.now,
                endpoint.host,
                request.method,
                request.target,
                request.body,
                patience.connect,
                patience.read,
                request.read_timeout,
                request.anonymous,
            )
        )
        replies = self._script[endpoint.host]
        reply = replies.popleft() if len(replies) > 1 else replies[0]
        return FakeExchange(self._clock, reply, endpoint, patience)
