# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failover: carrying one request to whichever endpoint answers, within one time budget.

PRIVATE to the collection: it can change at any time.

Writes and watches walk from endpoint to endpoint, one at a time, as far as `_retry.verdict`
allows. Reads race: one that has had no answer for a while is sent to the next endpoint as well,
and the first answer wins, so that a stalled endpoint costs no more than that while. A write is
never raced, because a stalled server may carry out its copy later.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
import typing as t
from collections import deque
from dataclasses import replace

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

#: Seconds before a read is tried a second time at endpoints whose trouble may have passed.
PAUSE = 0.2

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

    def ready(self, seconds: float) -> bool:
        """As in `_http`."""

    def finish(self) -> Answer:
        """As in `_http`."""


class ExchangesRequests(t.Protocol):
    """What carries one request to one endpoint (`_http.Http`)."""

    def exchange(self, endpoint: Endpoint, request: Request, patience: Patience) -> Answer:
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


class ThreadRace:
    """Runs calls side by side and hands over what they return, as it comes.

    The threads are daemons: one that hangs on a dead endpoint keeps nobody from leaving.
    """

    def __init__(self) -> None:
        self._returned = queue.SimpleQueue()  # type: queue.SimpleQueue[t.Any]

    def start(self, call: t.Callable[[], t.Any]) -> None:
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def next(self, seconds: float) -> t.Any:
        """What the next call returned, or None if none did in this time."""
        try:
            return self._returned.get(timeout=max(seconds, 0))
        except queue.Empty:
            return None

    def _run(self, call: t.Callable[[], t.Any]) -> None:
        self._returned.put(call())


class Transport:
    """Sends requests to a cluster.

    Args:
        http: carries one request to one endpoint.
        find_endpoints: called once, at the first request, with the seconds that it may take.
        timeouts: to connect, to wait for one answer, for one operation in all.
        hedge_delay: seconds without an answer after which a read is sent to the next endpoint as
            well; each further endpoint after twice the time.
        allow_failover: False to use the first endpoint only.
        clock: seconds, monotonic.
        sleep: waits for seconds.
        new_race: makes what runs the attempts of one read side by side.
    """

    def __init__(
        self,
        http: ExchangesRequests,
        find_endpoints: t.Callable[[float], t.Sequence[Endpoint]],
        *,
        timeouts: Timeouts,
        hedge_delay: float = 0.1,
        allow_failover: bool = True,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
        new_race: t.Callable[[], ThreadRace] = ThreadRace,
    ) -> None:
        self._http = http
        self._find_endpoints = find_endpoints
        self.timeouts = timeouts
        self._hedge_delay = hedge_delay
        self._allow_failover = allow_failover
        self._clock = clock
        self._sleep = sleep
        self._new_race = new_race
        self._found = None  # type: t.Optional[Pool]

    def endpoints(self) -> t.Tuple[Endpoint, ...]:
        """Every endpoint in use, the one that would be asked first at the head.

        Raises:
            errors.EtcdDiscoveryFailed: DNS discovery gave none.
        """
        return self._pool().order(self._clock())

    def send(self, request: Request) -> EtcdResult:
        """Carry the request to an endpoint that answers.

        Raises:
            errors.EtcdException: the cluster's final word; or no endpoint answered; or a write
                was sent and its outcome is not known.
        """
        began = self._clock()
        return self._carry(request, self._pool(), began)

    def send_to(self, endpoint: Endpoint, request: Request) -> EtcdResult:
        """Send the request to this endpoint and no other; see `admit` for the credentials."""
        began = self._clock()
        return self._carry(self.admit(endpoint, request), Pool([endpoint]), began)

    def admit(self, endpoint: Endpoint, request: Request) -> Request:
        """The request, without credentials unless the endpoint is one of this cluster's own.

        Its own are those that were configured or discovered. A URL that a member list names may
        belong to anybody.
        """
        return request if endpoint in self.endpoints() else replace(request, anonymous=True)

    def send_in_turn(
        self, batches: t.Sequence[t.Tuple[Endpoint, t.Sequence[Request]]]
    ) -> t.List[t.List[Timed]]:
        """Send requests to each endpoint, one after the other over one connection to it.

        All endpoints are asked at the same time. One that gives no answer is asked no further.

        Returns:
            For each batch, for each of its requests in their order: the result, or the exception
            that it ended with, which for those that were not sent is that of the last one that
            was. With it come the seconds from sending the request to the end of its answer, None
            unless the connection was open before. An endpoint that stays silent costs the time to
            connect and to wait for one answer, however many there are.
        """
        times = self.timeouts
        todo = [
            deque(self.admit(endpoint, request) for request in requests)
            for endpoint, requests in batches
        ]
        outcomes = [[] for unused in batches]  # type: t.List[t.List[Timed]]
        race = self._new_race()
        began = self._clock()
        due = {}  # type: t.Dict[int, float]

        def ask_next(number: int) -> None:
            """Have the next request of a batch sent; it is given up when it is due."""
            endpoint = batches[number][0]
            operation = _Operation(
                self._http, todo[number].popleft(), times, Pool([endpoint]), self._clock, began
            )
            left = max(operation.left(), 0.0)
            due[number] = self._clock() + min(times.connect + times.read, left)
            race.start(_call(number, functools.partial(operation.timed, endpoint)))

        for number, requests in enumerate(todo):
            if requests:
                ask_next(number)
        while due:
            returned = race.next(min(due.values()) - self._clock())
            if returned is None:
                now = self._clock()
                due = {number: moment for number, moment in due.items() if moment > now}
                continue
            number, timed = returned
            if due.pop(number, None) is None:
                continue
            outcomes[number].append(timed)
            if todo[number] and _may_be_asked_more(outcomes[number]):
                ask_next(number)
        return [_filled(found, len(batch[1])) for found, batch in zip(outcomes, batches)]

    def send_all(
        self,
        requests: t.Iterable[t.Tuple[t.Any, Request]],
        *,
        connections: int,
        silence: t.Optional[float] = None,
    ) -> t.Iterator[t.Tuple[t.Any, t.Union[EtcdResult, errors.EtcdException]]]:
        """Send requests side by side, each once, to the endpoint that would be asked first.

        Ends early when that endpoint stops answering: what was not taken from `requests` by then
        was not sent.

        Args:
            requests: each with a mark to know it by; taken one by one, as connections are free.
            connections: how many requests are under way at once.
            silence: seconds without an answer after which the endpoint has stopped answering; at
                most the time to wait for one answer, which is what None stands for.

        Yields:
            The mark, with the result or with what `send` would raise, in the order of the answers.
        """
        pool = self._pool()
        endpoint = pool.order(self._clock())[0]
        alone = Pool([endpoint])
        source = iter(requests)
        sent = {}  # type: t.Dict[t.Any, Request]
        doubtful = []  # type: t.List[t.Any]

        def taken() -> t.Iterator[t.Tuple[t.Any, Request]]:
            while not doubtful:
                pair = next(source, None)
                if pair is None:
                    return
                sent[pair[0]] = pair[1]
                yield pair

        times = self.timeouts
        patience = Patience(times.connect, min(times.read, silence or times.read), times.total)
        try:
            for mark, answer in self._http.exchange_all(endpoint, taken(), patience, connections):
                operation = _Operation(
                    self._http, sent.pop(mark), self.timeouts, alone, self._clock
                )
                outcome = operation.conclude(endpoint, answer)
                if isinstance(outcome, errors.EtcdOutcomeUnknown):
                    doubtful.append(mark)
                yield mark, outcome
        except AttemptFailed as exc:
            doubtful.append(exc)
        if doubtful:
            pool.failed(endpoint, self._clock())

    def _carry(self, request: Request, pool: Pool, began: float) -> EtcdResult:
        operation = _Operation(self._http, request, self.timeouts, pool, self._clock, began)
        order = pool.order(self._clock())
        if request.kind is Kind.READ and len(order) > 1:
            return self._race(operation, order)
        return self._walk(operation, order)

    def _pool(self) -> Pool:
        if self._found is None:
            endpoints = self._find_endpoints(self.timeouts.total)
            self._found = Pool(endpoints if self._allow_failover else endpoints[:1])
        return self._found

    def _walk(self, operation: "_Operation", order: t.Sequence[Endpoint]) -> EtcdResult:
        todo = deque(order)
        while True:
            endpoint = todo.popleft()
            outcome = operation.attempt(endpoint)
            if isinstance(outcome, EtcdResult):
                operation.answered(endpoint)
                return outcome
            operation.failed(endpoint, outcome)
            if not todo:
                todo.extend(operation.worth_another_try())
                self._sleep(PAUSE)

    def _race(self, operation: "_Operation", order: t.Sequence[Endpoint]) -> EtcdResult:
        race = self._new_race()
        todo = deque(order)
        running = []  # type: t.List[Endpoint]
        delay = self._hedge_delay
        returned = None
        sent = operation.begin(order[0])
        if sent is not None:
            # On a connection that is open, the answer can be waited for without a thread.
            running.append(todo.popleft())
            call = _call(order[0], functools.partial(operation.outcome, sent.finish))
            if sent.ready(min(delay, operation.left())):
                returned = call()
            else:
                race.start(call)
                delay *= 2
        while True:
            if returned is not None:
                endpoint, outcome = returned
                running.remove(endpoint)
                if isinstance(outcome, EtcdResult):
                    operation.answered(endpoint, stalled=running)
                    return outcome
                operation.failed(endpoint, outcome, stalled=running)
                if not todo and not running:
                    todo.extend(operation.worth_another_try())
                    self._sleep(PAUSE)
            elif operation.left() <= 0:
                raise operation.out_of_time(running)
            if todo:
                endpoint = todo.popleft()
                running.append(endpoint)
                race.start(_call(endpoint, functools.partial(operation.attempt, endpoint)))
            returned = race.next(min(delay, operation.left()) if todo else operation.left())
            if returned is None:
                delay *= 2


def _call(mark: t.Any, attempt: t.Callable[[], t.Any]) -> t.Callable[[], t.Any]:
    """What a race runs: an attempt, whose outcome comes with a mark to know it by."""
    return lambda: (mark, attempt())


class _Operation:
    """One request on its way: its budget, its attempts, and what became of them."""

    def __init__(
        self,
        http: ExchangesRequests,
        request: Request,
        timeouts: Timeouts,
        pool: Pool,
        clock: t.Callable[[], float],
        began: t.Optional[float] = None,
    ) -> None:
        self._http = http
        self._request = request
        self._timeouts = timeouts
        self._pool = pool
        self._clock = clock
        self._deadline = (clock() if began is None else began) + timeouts.total
        self._sent_to = []  # type: t.List[Endpoint]
        self._tried_twice = False
        self._failures = {}  # type: t.Dict[Endpoint, t.Tuple[Failure, Exception]]

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self._deadline - self._clock()

    def attempt(self, endpoint: Endpoint) -> Outcome:
        """Send the request once and wait for its answer."""
        patience = self._patience()
        if patience.total <= 0:
            return AttemptFailed(Failure.NOT_SENT, "not tried, no time was left")
        self._sent_to.append(endpoint)
        return self.outcome(
            functools.partial(self._http.exchange, endpoint, self._request, patience)
        )

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

    def answered(self, endpoint: Endpoint, stalled: t.Sequence[Endpoint] = ()) -> None:
        """This endpoint answered, while those still had not."""
        self._pool.answered(endpoint)
        for other in stalled:
            self._pool.failed(other, self._clock())

    def failed(
        self, endpoint: Endpoint, exc: Exception, stalled: t.Sequence[Endpoint] = ()
    ) -> None:
        """This attempt gave no result: returns if the next endpoint may be asked, else raises."""
        if isinstance(exc, (errors.ClientException, _deps.MissingLibrary)):
            raise exc
        failure = _retry.failure_of(exc)
        verdict = _retry.verdict(self._request.kind, failure)
        if verdict is _retry.Verdict.FINAL:
            self.answered(endpoint, stalled)
            raise exc
        self._raise_if_watch_began(endpoint, exc)
        self._pool.failed(endpoint, self._clock())
        if verdict is _retry.Verdict.UNKNOWN:
            raise errors.EtcdOutcomeUnknown(
                "%s was sent (%s); it may or may not have been carried out"
                % (self._request, _reason(exc)),
                http_status=getattr(exc, "http_status", None),
                endpoint=endpoint.url,
            ) from exc
        self._failures[endpoint] = (failure, exc)

    def worth_another_try(self) -> t.List[Endpoint]:
        """The endpoints to ask a second time, once every one has failed; raises if there is none."""
        passing = [
            endpoint
            for endpoint, (failure, unused) in self._failures.items()
            if failure in _retry.PASSING
        ]
        if not passing or self._tried_twice or self._request.kind is not Kind.READ:
            raise self._given_up()
        self._tried_twice = True
        return passing

    def out_of_time(self, running: t.Sequence[Endpoint]) -> errors.EtcdException:
        """The error for a budget that ran out while these had not answered."""
        for endpoint in running:
            self._pool.failed(endpoint, self._clock())
            self._failures[endpoint] = (
                Failure.TIMEOUT,
                AttemptFailed(Failure.TIMEOUT, "no answer in time"),
            )
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
        elif self.left() <= 0 or failures == {Failure.TIMEOUT}:
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


def _may_be_asked_more(outcomes: t.Sequence[Timed]) -> bool:
    """Whether the endpoint of these outcomes is worth a further request.

    One that answers may still close its connection in between.
    """
    last = outcomes[-1][0]
    if isinstance(last, AttemptFailed):
        answered = any(isinstance(outcome, EtcdResult) for outcome, unused in outcomes)
        return answered and last.failure is Failure.BROKEN
    return isinstance(last, (EtcdResult, errors.EtcdException))


def _filled(outcomes: t.Sequence[Timed], size: int) -> t.List[Timed]:
    """As many outcomes as there were requests: what was not sent ended as the last that was.

    Raises:
        ClientException, MissingLibrary: one of them ended so.
    """
    last = AttemptFailed(Failure.TIMEOUT, "no answer in time")  # type: Outcome
    for outcome, unused in outcomes:
        if isinstance(outcome, (errors.ClientException, _deps.MissingLibrary)):
            raise outcome
        if isinstance(outcome, AttemptFailed):
            last = outcome
    return [*outcomes, *[(last, None)] * (size - len(outcomes))]


def _answer_or_raise(ending: t.Union[Answer, AttemptFailed]) -> Answer:
    if isinstance(ending, AttemptFailed):
        raise ending
    return ending


def _reason(exc: Exception) -> str:
    return exc.reason if isinstance(exc, AttemptFailed) else str(exc)
