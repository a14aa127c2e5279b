# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one loop that watches a key: every event in order, whatever breaks on the way.

PRIVATE to the collection: it can change at any time.

A watch that has been silent for a while proves nothing: its connection, or the member at its other
end, may be stuck. So from time to time the key is read, which finds an endpoint that answers, and
the watch is opened again there, from the same index on.

A server remembers 1000 events of the whole store (etcd's v2 API document, "Watch for cleared event
index"), so in a busy store that index is soon forgotten although nothing happened to the key. The
head of a watch's answer tells the store's index at its opening; all events up to it were looked
through. Where it is forgotten too, the key itself tells whether something was written.
"""

from __future__ import annotations

import math
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _retry, errors
from ansible_collections.quorum.etcd.plugins.module_utils._results import (
    EtcdResult,
    Node,
    event_index,
)

#: Seconds of silence after which a watch is opened again.
RENEW = 15.0

#: Seconds from one opening of a watch to the next, at least: an endpoint that ends each one at once
#: without an event is not asked in a tight loop.
REOPEN = 0.2

FORGOTTEN = (errors.EtcdEventIndexCleared, errors.EtcdWatcherCleared)

#: What is remembered of each node: created and modified index, and value.
_Marks = t.Dict[str, t.Tuple[t.Optional[int], t.Optional[int], t.Optional[str]]]


class Seen(t.NamedTuple):
    """The key as a quorum read showed it, after a silence or where events were forgotten.

    Attributes:
        state: action "get", or "delete" and no node if there is no such key.
        forgotten: what the server said, if it has forgotten events since the last one; the watch
            goes on after this read.
        happened: whether one of those concerned the key, as far as the read can tell.
    """

    state: EtcdResult
    forgotten: t.Optional[errors.EtcdException] = None
    happened: bool = False


class Watch:
    """Events on a key, from an index on.

    Args:
        look: reads the key with a quorum: with all that is below it or not, and within how many
            seconds; None for as long as an operation may take.
        wait: waits for the first event at or after an index (None: from now on): for how long once
            the watch is open, and for how long in all.
        index: start with the first event at or after it; None for what comes from now on.
        recursive: events below the key as well.
        clock, sleep: monotonic seconds, and how to wait.

    Attributes:
        index: that of the next event to come is this or a later one; None until it is known.
    """

    def __init__(
        self,
        look: t.Callable[[bool, t.Optional[float]], EtcdResult],
        wait: t.Callable[[t.Optional[int], float, float], EtcdResult],
        *,
        index: t.Optional[int],
        recursive: bool,
        clock: t.Callable[[], float],
        sleep: t.Callable[[float], None],
    ) -> None:
        self._look = look
        self._wait = wait
        self.index = index
        self._recursive = recursive
        self._clock = clock
        self._sleep = sleep
        #: The store's index at the opening of the watch that was silent last.
        self._heard = None  # type: t.Optional[int]
        #: Whether events before `index` were seen, or were not asked for.
        self._followed = index is None
        #: The key as the last read showed it; None if there was none since the last event.
        self._marks = None  # type: t.Optional[_Marks]
        self._exists = None  # type: t.Optional[bool]

    def next(self, deadline: float) -> t.Union[EtcdResult, Seen, None]:
        """The next event; or the key itself, after a silence or a gap; or None if time is over.

        Raises:
            errors.EtcdException: the cluster's final word; or no endpoint answered for as long as
                an operation may take. Then `index` tells where to go on, and so does the error's.
        """
        began = self._clock()
        while True:
            now = self._clock()
            if now >= deadline:
                return None
            if now - began >= RENEW:
                seen = self._after_silence(deadline)
                if seen is not None:
                    return seen
                began = now
            try:
                silence = max(min(began + RENEW, deadline) - now, 0.001)
                event = self._wait(self.index, silence, deadline - now)
            except errors.EtcdWatchTimeout as exc:
                self._note_silence(exc)
            except FORGOTTEN as exc:
                if not self._go_on_after_head():
                    return self._after_gap(exc, deadline)
                continue
            except errors.EtcdTimeout as exc:
                # A proxy may keep the head of the answer until there is an event.
                if self._clock() >= deadline:
                    return None
                seen = self._after_silence(deadline)
                if seen is None:
                    raise self._with_index(exc) from exc
                return seen
            except errors.EtcdUnreachable as exc:
                raise self._with_index(exc) from exc
            else:
                self._told(event)
                return event
            again = min(now + REOPEN, deadline) - self._clock()
            if again > 0:
                self._sleep(again)

    def look(self, seconds: t.Optional[float] = None) -> EtcdResult:
        """The key as it is now."""
        return self._state(False, seconds)

    def _told(self, event: EtcdResult) -> None:
        self.index = event_index(event) + 1
        self._followed = True
        self._heard = self._marks = None
        self._exists = None if self._recursive else not event.removed

    def _note_silence(self, exc: errors.EtcdWatchTimeout) -> None:
        if exc.index is None:
            return
        self._followed = True
        self._heard = exc.index
        if self.index is None:
            self.index = exc.index + 1

    def _go_on_after_head(self) -> bool:
        """Whether there is a later index from which nothing is missed."""
        heard, self._heard = self._heard, None
        if heard is None or self.index is None or heard < self.index or not self._followed:
            return False
        self.index = heard + 1
        return True

    def _after_silence(self, deadline: float) -> t.Optional[Seen]:
        """The key itself; None if nobody can tell now, which a watch on one member may outlive."""
        try:
            state = self._state(False, self._left(deadline))
        except errors.EtcdException as exc:
            if not _retry.may_pass(exc):
                raise
            return None
        if self.index is None:
            self.index = (state.x_etcd_index or 0) + 1
        if self._exists is None and not self._recursive:
            self._exists = state.node is not None
        return Seen(state)

    def _after_gap(self, exc: errors.EtcdException, deadline: float) -> Seen:
        state = self._state(self._recursive, self._left(deadline))
        marks = _marks(state.node)
        happened = self._happened(marks)
        self.index = (state.x_etcd_index or 0) + 1
        self._followed = True
        self._marks, self._exists = marks, state.node is not None
        return Seen(state, exc, happened)

    def _happened(self, marks: _Marks) -> bool:
        if not self._followed or self.index is None:
            return True
        if self._marks is not None:
            return marks != self._marks
        if self._exists is not None and self._exists is not bool(marks):
            return True
        return any(
            (modified if modified is not None else created or 0) >= self.index
            for created, modified, unused in marks.values()
        )

    def _state(self, recursive: bool, seconds: t.Optional[float]) -> EtcdResult:
        try:
            return self._look(recursive, seconds)
        except (errors.EtcdKeyNotFound, errors.EtcdNotDir) as exc:
            # Below a key with a value nothing exists either.
            return EtcdResult(
                {"action": "delete"},
                {"X-Etcd-Index": str(exc.index or 0)},
                endpoint=exc.endpoint or "",
            )

    def _left(self, deadline: float) -> t.Optional[float]:
        return None if deadline == math.inf else max(deadline - self._clock(), 0.001)

    def _with_index(self, exc: errors.EtcdException) -> errors.EtcdException:
        if exc.index is None and self.index is not None:
            exc.index = self.index - 1
        return exc


def _marks(node: t.Optional[Node]) -> _Marks:
    found = {}  # type: _Marks
    todo = [] if node is None else [node]
    while todo:
        one = todo.pop()
        todo += one.nodes
        # The modified index rises with each refresh of a TTL, and a refresh is no event.
        modified = one.modified_index if one.ttl is None else None
        found[one.key] = (one.created_index, modified, one.value)
    return found
