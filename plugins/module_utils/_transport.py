# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failover: carrying one request to whichever endpoint answers, within one time budget.

PRIVATE to the collection: it can change at any time.

Writes and watches walk from endpoint to endpoint, one at a time, as far as `_retry.verdict`
allows; reads are hedged (`_hedging`). A write never is, because a stalled server may carry out its
copy later. When all endpoints have failed in a way that may pass, they are asked again with
back-off until the budget is over (`_operation`).
"""

from __future__ import annotations

import functools
import time
import typing as t
from collections import deque
from dataclasses import replace

from ansible_collections.quorum.etcd.plugins.module_utils import _deps, errors
from ansible_collections.quorum.etcd.plugins.module_utils._endpoints import Pool
from ansible_collections.quorum.etcd.plugins.module_utils._hedging import (
    HedgedRead,
    Lateness,
    Race,
)
from ansible_collections.quorum.etcd.plugins.module_utils._operation import (
    ExchangesRequests,
    Operation,
    Outcome,
    Timed,
)
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    AttemptFailed,
    Endpoint,
    Failure,
    Kind,
    Patience,
    Request,
    Timeouts,
)


class Transport:
    """Sends requests to a cluster.

    Args:
        http: carries one request to one endpoint.
        find_endpoints: called once, at the first request, with the seconds that it may take.
        timeouts: to connect, to wait for one answer, for one operation in all.
        hedge_delay: seconds without an answer after which a read is sent to the next endpoint as
            well, at least (`_hedging`).
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
        new_race: t.Callable[[], Race] = Race,
    ) -> None:
        self._http = http
        self._find_endpoints = find_endpoints
        self.timeouts = timeouts
        self._allow_failover = allow_failover
        self._clock = clock
        self._sleep = sleep
        self._new_race = new_race
        self._lateness = Lateness(hedge_delay, timeouts.read)
        self._found = None  # type: t.Optional[Pool]

    def endpoints(self) -> t.Tuple[Endpoint, ...]:
        """Every endpoint in use, the one that would be asked first at the head.

        Raises:
            errors.EtcdDiscoveryFailed: DNS discovery gave none.
        """
        return self._pool().order(self._clock())

    def send(
        self, request: Request, *, patient: bool = True, seconds: t.Optional[float] = None
    ) -> EtcdResult:
        """Carry the request to an endpoint that answers.

        Args:
            seconds: the budget, where it is less than that of every operation.
            patient: whether endpoints that cannot be reached are asked again, until the budget is
                over.

        Raises:
            errors.EtcdException: the cluster's final word; or no endpoint answered; or a write
                was sent and its outcome is not known.
        """
        began = self._clock()
        return self._carry(request, self._pool(), began, patient=patient, seconds=seconds)

    def send_to(self, endpoint: Endpoint, request: Request) -> EtcdResult:
        """Send the request to this endpoint and no other, without waiting for one that is away.

        See `admit` for the credentials.
        """
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
            operation = Operation(
                self._http, todo[number].popleft(), times, Pool([endpoint]), self._clock, began
            )
            left = max(operation.left(), 0.0)
            due[number] = self._clock() + min(times.connect + times.read, left)
            race.start(_marked(number, functools.partial(operation.timed, endpoint)))

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
                operation = Operation(self._http, sent.pop(mark), self.timeouts, alone, self._clock)
                outcome = operation.conclude(endpoint, answer)
                if isinstance(outcome, errors.EtcdOutcomeUnknown):
                    doubtful.append(mark)
                yield mark, outcome
        except AttemptFailed as exc:
            doubtful.append(exc)
        if doubtful:
            pool.failed(endpoint, self._clock())

    def _carry(
        self,
        request: Request,
        pool: Pool,
        began: float,
        *,
        patient: bool = False,
        seconds: t.Optional[float] = None,
    ) -> EtcdResult:
        times = self.timeouts
        if seconds is not None:
            times = times._replace(total=min(times.total, seconds))
        operation = Operation(
            self._http,
            request,
            times,
            pool,
            self._clock,
            began,
            patient=patient,
            sleep=self._sleep,
        )
        order = pool.order(began)
        if request.kind is Kind.READ and len(order) > 1:
            read = HedgedRead(operation, self._new_race(), self._lateness, self._clock)
            return read.result(order)
        return operation.walk(order)

    def _pool(self) -> Pool:
        if self._found is None:
            endpoints = self._find_endpoints(self.timeouts.total)
            self._found = Pool(endpoints if self._allow_failover else endpoints[:1])
        return self._found


def _marked(mark: t.Any, attempt: t.Callable[[], t.Any]) -> t.Callable[[], t.Any]:
    """What a race runs: an attempt, whose outcome comes with a mark to know it by."""
    return lambda: (mark, attempt())


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
    last: Outcome = AttemptFailed(Failure.TIMEOUT, "no answer in time")
    for outcome, unused in outcomes:
        if isinstance(outcome, (errors.ClientException, _deps.MissingLibrary)):
            raise outcome
        if isinstance(outcome, AttemptFailed):
            last = outcome
    return [*outcomes, *[(last, None)] * (size - len(outcomes))]
