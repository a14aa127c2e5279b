# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request on its way: its budget, its attempts, and what became of them.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import functools
import time
import typing as t
from collections import deque

from ansible_collections.quorum.etcd.plugins.module_utils import (
    _deps,
    _retry,
    _wire,
    errors,
)
from ansible_collections.quorum.etcd.plugins.module_utils._endpoints import Pool
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    AttemptFailed,
    Endpoint,
    Failure,
    Kind,
    Patience,
    Request,
    Timeouts,
)

#: Seconds before endpoints that have all failed are asked again: at first, and at most. It doubles
#: each time.
PAUSE = 0.2
MOST_PAUSE = 1.0

#: Seconds of a budget that are kept for the last round.
_LAST_ROUND = 0.1

Outcome = t.Union[
    EtcdResult,
    AttemptFailed,
    errors.EtcdException,
    errors.ClientException,
    _deps.MissingLibrary,
]

#: An outcome, and the seconds from sending the request to the end of its answer; None where the
#: connection was not open before.
Timed = t.Tuple[Outcome, t.Optional[float]]


class AwaitsAnswer(t.Protocol):
    """A request that was sent (`_http.Exchange`)."""

    @property
    def received(self) -> int:
        """As in `_http`."""

    @property
    def moved_at(self) -> float:
        """As in `_http`."""

    @property
    def longest_silence(self) -> float:
        """As in `_http`."""

    def ready(self, seconds: float) -> bool:
        """As in `_http`."""

    def finish(self) -> Answer:
        """As in `_http`."""


class ExchangesRequests(t.Protocol):
    """What carries one request to one endpoint (`_http.Http`)."""

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
        """As in `_http`."""

    def start(self, endpoint: Endpoint, request: Request, patience: Patience) -> AwaitsAnswer:
        """As in `_http`."""

    def begin(
        self, endpoint: Endpoint, request: Request, patience: Patience
    ) -> t.Optional[AwaitsAnswer]:
        """As in `_http`."""

    def exchange_all(
        self,
        endpoint: Endpoint,
        requests: t.Iterator[t.Tuple[t.Any, Request]],
        patience: Patience,
        connections: int,
    ) -> t.Iterator[t.Tuple[t.Any, t.Union[Answer, AttemptFailed]]]:
        """As in `_http`."""


class Operation:
    """One request on its way: its budget, its attempts, and what became of them.

    Args:
        http, request, timeouts, pool, clock: as the transport has them.
        began: when the budget began; None for now.
        patient: whether endpoints that may answer a moment later are asked until the budget is
            over. Otherwise those that did answer, or broke off, are asked once more.
        sleep: waits for seconds.

    Attributes:
        deadline: when the budget is over.
        pool: the endpoints.
    """

    def __init__(
        self,
        http: ExchangesRequests,
        request: Request,
        timeouts: Timeouts,
        pool: Pool,
        clock: t.Callable[[], float],
        began: t.Optional[float] = None,
        *,
        patient: bool = False,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._request = request
        self._timeouts = timeouts
        self.pool = pool
        self._clock = clock
        self._patient = patient
        self._sleep = sleep
        self.deadline = (clock() if began is None else began) + timeouts.total
        self._sent_to = []  # type: t.List[Endpoint]
        self._rounds = 0
        self._failures = {}  # type: t.Dict[Endpoint, t.Tuple[Failure, Exception]]

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.deadline - self._clock()

    def walk(self, order: t.Sequence[Endpoint]) -> EtcdResult:
        """Ask one endpoint after the other.

        Raises:
            errors.EtcdException: as `Transport.send`.
        """
        todo = deque(order)
        while True:
            endpoint = todo.popleft()
            outcome = self.attempt(endpoint)
            if isinstance(outcome, EtcdResult):
                self.answered(endpoint)
                return outcome
            self.failed(endpoint, outcome)
            if not todo:
                todo.extend(self.next_round())

    def attempt(self, endpoint: Endpoint) -> Outcome:
        """Send the request once and wait for its answer."""
        patience = self._patience()
        if patience.total <= 0:
            return _not_tried()
        self._sent_to.append(endpoint)
        return self.outcome(
            functools.partial(self._http.exchange, endpoint, self._request, patience)
        )

    def start(
        self, endpoint: Endpoint
    ) -> t.Union[AwaitsAnswer, AttemptFailed, errors.ClientException, _deps.MissingLibrary]:
        """Send the request, connecting if need be, and do not wait for the answer."""
        patience = self._patience()
        if patience.total <= 0:
            return _not_tried()
        self._sent_to.append(endpoint)
        try:
            return self._http.start(endpoint, self._request, patience)
        except (AttemptFailed, errors.ClientException, _deps.MissingLibrary) as exc:
            return exc

    def timed(self, endpoint: Endpoint) -> Timed:
        """The outcome, and the seconds that the answer took; None where connecting is in them."""
        began = self._clock()
        sent = self.begin(endpoint) if self.left() > 0 else None
        if sent is None:
            return self.attempt(endpoint), None
        return self.outcome(sent.finish), self._clock() - began

    def begin(self, endpoint: Endpoint) -> t.Optional[AwaitsAnswer]:
        """Send the request if a connection to the endpoint is open, and do not wait."""
        sent = self._http.begin(endpoint, self._request, self._patience())
        if sent is not None:
            self._sent_to.append(endpoint)
        return sent

    def outcome(self, answered: t.Callable[[], Answer]) -> Outcome:
        """What an answer, or its failure to come, means; returned, not raised, to cross threads."""
        try:
            answer = answered()
            body = _wire.decode(self._request, answer)
        except (
            AttemptFailed,
            errors.EtcdException,
            errors.ClientException,
            _deps.MissingLibrary,
        ) as exc:
            return exc
        return EtcdResult(
            body, answer.headers, endpoint=answer.endpoint.url, attempts=len(self._sent_to)
        )

    def conclude(
        self, endpoint: Endpoint, ending: t.Union[Answer, AttemptFailed]
    ) -> t.Union[EtcdResult, errors.EtcdException]:
        """What the one attempt of a request that is sent nowhere else ends with."""
        self._sent_to.append(endpoint)
        outcome = self.outcome(lambda: _answer_or_raise(ending))
        if isinstance(outcome, EtcdResult):
            return outcome
        try:
            self.failed(endpoint, outcome)
            return self._given_up()
        except errors.EtcdException as exc:
            return exc

    def _patience(self) -> Patience:
        left = self.left()
        return Patience(min(self._timeouts.connect, left), min(self._timeouts.read, left), left)

    def answered(self, endpoint: Endpoint) -> None:
        """This endpoint answered: ask it first from now on."""
        self.pool.answered(endpoint)

    def is_answer(self, outcome: Outcome) -> bool:
        """Whether this is the cluster's answer, be it a refusal."""
        if isinstance(outcome, EtcdResult):
            return True
        verdict = _retry.verdict(self._request.kind, _retry.failure_of(outcome))
        return verdict is _retry.Verdict.FINAL

    def came_late(self, endpoint: Endpoint, outcome: Outcome) -> None:
        """What became of an attempt when another one had answered."""
        if self.is_answer(outcome):
            self.pool.came(endpoint)
        else:
            self.pool.failed(endpoint, self._clock())

    def failed(self, endpoint: Endpoint, exc: Exception) -> None:
        """This attempt gave no result: returns if another one may be made, else raises."""
        if isinstance(exc, (errors.ClientException, _deps.MissingLibrary)):
            raise exc
        if isinstance(exc, _NotTried):
            self._failures.setdefault(endpoint, (exc.failure, exc))
            return
        failure = _retry.failure_of(exc)
        verdict = _retry.verdict(self._request.kind, failure)
        if verdict is _retry.Verdict.FINAL:
            self.answered(endpoint)
            raise exc
        self._raise_if_watch_began(endpoint, exc)
        self.pool.failed(endpoint, self._clock())
        if verdict is _retry.Verdict.UNKNOWN:
            raise errors.EtcdOutcomeUnknown(
                "%s was sent (%s); it may or may not have been carried out"
                % (self._request, _reason(exc)),
                http_status=getattr(exc, "http_status", None),
                endpoint=endpoint.url,
            ) from exc
        self._failures[endpoint] = (failure, exc)

    def next_round(self) -> t.List[Endpoint]:
        """The endpoints to ask again, once all have failed, after a pause.

        Raises:
            errors.EtcdException: that would make no sense, or there is no time left for it.
        """
        kind, left = self._request.kind, self.left()
        again = {
            endpoint: _retry.again(kind, failure, exc, patient=self._patient)
            for endpoint, (failure, exc) in self._failures.items()
        }
        wanted = set(again.values())
        hopeful = _retry.Again.ALWAYS in wanted or (
            _retry.Again.ONCE in wanted and not self._rounds
        )
        if not hopeful or left < 2 * _LAST_ROUND:
            raise self._given_up()
        pause = min(PAUSE * 2**self._rounds, MOST_PAUSE, left - _LAST_ROUND)
        self._rounds = min(self._rounds + 1, 16)
        self._sleep(pause)
        order = self.pool.order(self._clock())
        return [one for one in order if again.get(one) not in (None, _retry.Again.NEVER)]

    def out_of_time(
        self, connecting: t.Sequence[Endpoint], silent: t.Sequence[Endpoint]
    ) -> errors.EtcdException:
        """The error for a budget that ran out.

        Args:
            connecting: those to which there was no connection yet.
            silent: those that had the request and had not answered.
        """
        for endpoints, failure, reason in (
            (connecting, Failure.NOT_SENT, "no connection in time"),
            (silent, Failure.TIMEOUT, "no answer in time"),
        ):
            for endpoint in endpoints:
                self.pool.failed(endpoint, self._clock())
                self._failures[endpoint] = (failure, AttemptFailed(failure, reason))
        return self._given_up()

    def _given_up(self) -> errors.EtcdException:
        reasons = [
            (endpoint.url, _reason(exc)) for endpoint, (unused, exc) in self._failures.items()
        ]
        said = [
            exc for unused, exc in self._failures.values() if isinstance(exc, errors.EtcdException)
        ]
        if said:
            # An endpoint that answers with an error says more than one that is silent, and one that
            # serves the v2 API more than one that does not.
            exc = min(said, key=lambda one: isinstance(one, errors.EtcdV2NotServed))
            exc.errors = tuple(reasons)
            return exc
        failures = {failure for failure, unused in self._failures.values()}
        found = errors.EtcdUnreachable  # type: t.Type[errors.EtcdUnreachable]
        if failures == {Failure.TLS}:
            found = errors.EtcdTLSFailure
        elif failures == {Failure.TIMEOUT} or (self.left() <= 0 and not self._rounds):
            found = errors.EtcdTimeout
        return found("no endpoint answered %s" % self._request, errors=reasons)

    def _raise_if_watch_began(self, endpoint: Endpoint, exc: Exception) -> None:
        """A watch whose head came is not sent elsewhere as it was, but from the index it began at."""
        index = None
        if isinstance(exc, (AttemptFailed, errors.EtcdEmptyResponse)):
            index = exc.index
        if self._request.kind is Kind.WAIT and index is not None:
            raise errors.EtcdWatchTimeout(
                "%s ended without an event: %s" % (self._request, _reason(exc)),
                index=index,
                endpoint=endpoint.url,
            ) from exc


class _NotTried(AttemptFailed):
    """There was no time left for this attempt."""


def _not_tried() -> AttemptFailed:
    return _NotTried(Failure.NOT_SENT, "not tried, no time was left")


def _answer_or_raise(ending: t.Union[Answer, AttemptFailed]) -> Answer:
    if isinstance(ending, AttemptFailed):
        raise ending
    return ending


def _reason(exc: Exception) -> str:
    return exc.reason if isinstance(exc, AttemptFailed) else str(exc)
