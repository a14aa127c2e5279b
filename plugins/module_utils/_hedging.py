# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hedged reads: one whose answer is late is sent to the next endpoint as well.

PRIVATE to the collection: it can change at any time.

The first whole answer counts, so that an endpoint that is silent, or stalls in the middle of its
answer, costs a moment and not a timeout. Against a cluster that is merely slow, hedges would
multiply the load: what counts as late grows with what the client has seen, and until it has seen
something, a read is under way at no more than two endpoints.
"""

from __future__ import annotations

import math
import queue
import threading
import typing as t
from collections import deque

from ansible_collections.quorum.etcd.plugins.module_utils._operation import (
    AwaitsAnswer,
    Operation,
    Outcome,
)
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import Endpoint

#: Bytes a second at which an answer is not late, however large it is.
RATE = 1e6

#: An answer is late after this many times the longest silence before an answer that was seen.
FACTOR = 2.0

#: How many answers are remembered.
_MEMORY = 8


class Lateness:
    """When an answer is late, against what this client has seen.

    Args:
        least: seconds, from `hedge_delay`.
        timeout: seconds to wait for one answer.
    """

    def __init__(self, least: float, timeout: float) -> None:
        self._least = least
        self._most = max(least, timeout / 2)
        #: Where nothing is known, a second hedge waits for this long.
        self.unknown = max(least, timeout / 4)
        self._silences = deque(maxlen=_MEMORY)  # type: t.Deque[float]

    @property
    def known(self) -> bool:
        """Whether an answer was seen."""
        return bool(self._silences)

    @property
    def delay(self) -> float:
        """Seconds of silence after which an answer is late."""
        if not self._silences:
            return self._least
        return max(self._least, min(FACTOR * max(self._silences), self._most))

    def saw(self, silence: float) -> None:
        """An answer came, and this was the longest silence before its end."""
        self._silences.append(silence)


class Race:
    """Runs calls side by side and hands over what they return, as it comes.

    The threads are daemons: one that hangs on a dead endpoint does not hold the process.
    """

    def __init__(self) -> None:
        self._returned = queue.SimpleQueue()  # type: queue.SimpleQueue[t.Any]
        self._report = None  # type: t.Optional[t.Callable[[t.Any], t.Any]]

    def start(self, call: t.Callable[[], t.Any]) -> None:
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def next(self, seconds: float) -> t.Any:
        """What the next call returned, or None if none did in this time."""
        try:
            return self._returned.get(timeout=max(seconds, 0))
        except queue.Empty:
            return None

    def leave(self, report: t.Callable[[t.Any], t.Any]) -> None:
        """Have `report` told what is still to come, from the threads."""
        self._report = report
        self._hand_over()

    def _run(self, call: t.Callable[[], t.Any]) -> None:
        self._returned.put(call())
        if self._report is not None:
            self._hand_over()

    def _hand_over(self) -> None:
        report = self._report
        while report is not None:
            returned = self.next(0)
            if returned is None:
                break
            report(returned)


class _Attempt:
    """One attempt of a read."""

    __slots__ = ("endpoint", "began", "sent", "_read")

    def __init__(self, read: "HedgedRead", endpoint: Endpoint, began: float) -> None:
        self._read = read
        self.endpoint = endpoint
        self.began = began
        self.sent: t.Optional[AwaitsAnswer] = None

    def late_at(self, delay: float) -> float:
        """When its answer is late: silent for this long, or too slow for longer."""
        if self.sent is None:
            return self.began + delay
        allowance = self.sent.received / RATE
        return min(self.sent.moved_at, self.began + allowance) + delay

    def run(self) -> t.Tuple["_Attempt", Outcome]:
        """Send the request if that is to be done, and wait for the answer; for a thread."""
        operation = self._read.operation
        if self.sent is None:
            started = operation.start(self.endpoint)
            if isinstance(started, Exception):
                return self, started
            self.sent = started
        return self, operation.outcome(self.sent.finish)


class HedgedRead:
    """One read, on its way to one endpoint after the other.

    Args:
        operation: the read.
        race: what runs the attempts side by side.
        lateness: what this client has seen.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        operation: Operation,
        race: Race,
        lateness: Lateness,
        clock: t.Callable[[], float],
    ) -> None:
        self.operation = operation
        self._race = race
        self._lateness = lateness
        self._clock = clock
        self._todo = deque()  # type: t.Deque[Endpoint]
        self._running = []  # type: t.List[_Attempt]

    def result(self, order: t.Sequence[Endpoint]) -> EtcdResult:
        """The first whole answer.

        Raises:
            errors.EtcdException: as `Transport.send`.
        """
        self._todo.extend(order)
        returned = self._on_open_connection()
        try:
            while True:
                if returned is not None:
                    result = self._conclude(*returned)
                    if result is not None:
                        return result
                returned = self._next()
        finally:
            if self._running:
                self._race.leave(self._too_late)

    def _on_open_connection(self) -> t.Optional[t.Tuple[_Attempt, Outcome]]:
        """On a connection that is open, the answer can be waited for without a thread."""
        attempt = _Attempt(self, self._todo[0], self._clock())
        attempt.sent = self.operation.begin(attempt.endpoint)
        if attempt.sent is None:
            return None
        self._todo.popleft()
        self._running.append(attempt)
        while True:
            due = min(attempt.late_at(self._lateness.delay), self.operation.deadline)
            left = due - self._clock()
            if left <= 0:
                self._race.start(attempt.run)
                return None
            if attempt.sent.ready(left):
                return attempt.run()

    def _next(self) -> t.Optional[t.Tuple[_Attempt, Outcome]]:
        """Ask another endpoint if it is time, and wait for what is under way."""
        while True:
            now = self._clock()
            if self.operation.deadline <= now:
                raise self.operation.out_of_time(
                    [one.endpoint for one in self._running if one.sent is None],
                    [one.endpoint for one in self._running if one.sent is not None],
                )
            due = self._hedge_due()
            if due <= now and self._todo:
                self._begin(self._todo.popleft())
                continue
            until = min(due, self.operation.deadline) if self._todo else self.operation.deadline
            returned = self._race.next(until - now)
            if returned is not None:
                return t.cast(t.Tuple[_Attempt, Outcome], returned)

    def _begin(self, endpoint: Endpoint) -> None:
        attempt = _Attempt(self, endpoint, self._clock())
        self._running.append(attempt)
        self._race.start(attempt.run)

    def _hedge_due(self) -> float:
        """When the next endpoint is to be asked as well; at once if none is being asked."""
        if not self._running:
            return -math.inf
        delay = self._lateness.delay * 2 ** (len(self._running) - 1)
        sent = sum(one.sent is not None for one in self._running)
        if sent > 1 and not self._lateness.known:
            delay = max(delay, self._lateness.unknown)
        return self._running[-1].late_at(delay)

    def _conclude(self, attempt: _Attempt, outcome: Outcome) -> t.Optional[EtcdResult]:
        self._running.remove(attempt)
        if attempt.sent is not None and self.operation.is_answer(outcome):
            self._lateness.saw(attempt.sent.longest_silence)
            self._note_late(attempt)
        if isinstance(outcome, EtcdResult):
            self.operation.answered(attempt.endpoint)
            return outcome
        self.operation.failed(attempt.endpoint, outcome)
        if self._todo:
            # A failure makes way for the next endpoint at once.
            self._begin(self._todo.popleft())
        elif not self._running:
            self._todo.extend(self.operation.next_round())
        return None

    def _note_late(self, winner: _Attempt) -> None:
        """Those that had more than their share of time are asked after the others for now."""
        now = self._clock()
        for one in self._running:
            if now - one.began > FACTOR * (now - winner.began):
                self.operation.pool.late(one.endpoint)

    def _too_late(self, returned: t.Tuple[_Attempt, Outcome]) -> None:
        """What became of an attempt that was not needed: slow is no fault, no answer is one."""
        self.operation.came_late(returned[0].endpoint, returned[1])
