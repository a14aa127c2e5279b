# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network in virtual time: a clock, endpoints with a script, and a race without threads."""

from __future__ import annotations

import functools
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
    """Seconds that pass only when somebody waits.

    Attributes:
        tick: seconds that pass whenever somebody reads the clock, as they do in the world.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.tick = 0.0
        self._due = []  # type: t.List[t.Tuple[float, int, t.Callable[[], t.Any]]]

    def __call__(self) -> float:
        self.now += self.tick
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for one in sorted(one for one in self._due if one[0] <= self.now):
            self._due.remove(one)
            one[2]()

    def call_at(self, moment: float, call: t.Callable[[], t.Any]) -> None:
        """Have something done when somebody sleeps up to this moment."""
        self._due.append((moment, len(self._due), call))


class FakeRace:
    """Takes the place of `_hedging.Race`: calls overlap in virtual time.

    Each call runs as soon as it is started; what it did to the clock is undone and kept as the
    moment at which it will have returned.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._pending = []  # type: t.List[t.Tuple[float, int, t.Any]]

    def leave(self, report: t.Callable[[t.Any], t.Any]) -> None:
        for moment, unused, returned in self._pending:
            self._clock.call_at(moment, functools.partial(report, returned))
        self._pending.clear()

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
    """What an endpoint does with one request: takes its time, then answers or fails.

    Attributes:
        after: seconds until the whole answer is there. A failure comes with its timeout at the
            latest, which begins again with each piece of the answer.
        pieces: seconds and sizes of what comes of the answer before.
        overrun: seconds by which a failure misses its timeout, as it does on a busy machine.
    """

    status: int = 200
    body: t.Any = None
    headers: t.Mapping[str, str] = {}
    after: float = 0.0
    failure: t.Optional[Failure] = None
    reason: str = ""
    index: t.Optional[int] = None
    pieces: t.Sequence[t.Tuple[float, int]] = ()
    overrun: float = 0.0


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
NO_SUCH_HOST = Reply(failure=Failure.UNUSABLE, reason="name or service not known")
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


#: Failures that come before a request is sent.
_BEFORE = (Failure.NOT_SENT, Failure.UNUSABLE, Failure.TLS)


class FakeExchange:
    """Takes the place of `_http.Exchange`: a request whose answer, or end, comes at some moment."""

    def __init__(
        self,
        clock: FakeClock,
        reply: Reply,
        endpoint: Endpoint,
        patience: Patience,
        silence: t.Optional[float] = None,
    ) -> None:
        self._clock = clock
        self._began = clock.now
        self._pieces = [(self._began + after, size) for after, size in reply.pieces]
        seconds, self._failed, self._answer = reply.after, None, None
        last = max((after for after, unused in reply.pieces), default=0.0)
        if reply.failure is not None:
            limit = patience.connect if reply.failure is Failure.NOT_SENT else last + patience.read
            if reply.index is not None and silence is not None:
                # The head of a watch has come, and its body may take this long.
                limit = silence
            seconds = min(reply.after, limit) + reply.overrun
            self._failed = AttemptFailed(reply.failure, reply.reason, reply.index)
        elif FOR_EVER > reply.after > last + patience.read:
            seconds = last + patience.read
            self._failed = AttemptFailed(Failure.TIMEOUT, "no answer in time")
        else:
            raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self._answer = Answer(reply.status, reply.headers, raw, endpoint)
        self._due = clock.now + seconds

    @property
    def never_sent(self) -> bool:
        """Whether there is no connection."""
        return self._failed is not None and self._failed.failure in _BEFORE

    @property
    def received(self) -> int:
        return sum(size for moment, size in self._pieces if moment <= self._clock.now)

    @property
    def moved_at(self) -> float:
        return max(
            (one for one, unused in self._pieces if one <= self._clock.now), default=self._began
        )

    @property
    def longest_silence(self) -> float:
        moments = [self._began, *(moment for moment, unused in self._pieces), self._due]
        return max(later - earlier for earlier, later in zip(moments, moments[1:]))

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
        return self.start(endpoint, request, patience).finish()

    def start(self, endpoint: Endpoint, request: Request, patience: Patience) -> FakeExchange:
        exchange = self._send(endpoint, request, patience)
        if exchange.never_sent:
            exchange.finish()
        return exchange

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
        return FakeExchange(self._clock, reply, endpoint, patience, request.read_timeout)
