# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_wait does.

PRIVATE to the collection: it can change at any time.

The key is read once, and from the index of that read on it is watched, so that nothing is missed in
between (`_watch`). When the time is over, the key is read once more, and what happened up to that
read and did not come is asked for.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import InVain
from ansible_collections.quorum.etcd.plugins.module_utils._plan import wait as wait_plan
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._watch import Seen, Watch

#: Seconds to wait for an event that, if there is one, has happened already.
CATCH_UP = 0.5

#: Seconds that the last look at the key may take, when the time to wait is over.
LAST_LOOK = 5.0

#: Seconds until the next try when no endpoint answers.
PAUSE = 0.5

#: What passes: no endpoint answers, or the cluster has no leader or no quorum.
_PASSING = (
    errors.EtcdUnreachable,
    errors.EtcdInvalidResponse,
    errors.EtcdServerError,
    errors.EtcdRaftInternal,
    errors.EtcdLeaderElect,
)


class WatchClient(t.Protocol):
    """What this file needs of `client.Client`."""

    def read(
        self,
        key: str,
        *,
        recursive: bool = False,
        quorum: bool = False,
    ) -> EtcdResult:
        """As `Client` does."""

    def watcher(self, key: str, *, index: t.Optional[int] = None, recursive: bool = False) -> Watch:
        """As `Client` does."""


class _Reading(t.NamedTuple):
    """What a quorum read found, and who answered it."""

    sight: wait_plan.Sight
    endpoint: t.Optional[str]
    attempts: int


class _End(t.NamedTuple):
    """What a wait ended with; the event is None if a read showed it."""

    sight: wait_plan.Sight
    endpoint: t.Optional[str]
    attempts: int
    event: t.Optional[EtcdResult] = None


def wait_for_key(
    options: t.Mapping[str, t.Any],
    connect: t.Callable[[], WatchClient],
    *,
    apply: bool,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> t.Dict[str, t.Any]:
    """Wait until the key is as the options describe.

    Args:
        connect: makes the client; called once the options have been found right.
        apply: False to read once, not to wait, and to say whether the wait would be over.
        clock, sleep: monotonic seconds, and how to wait.

    Raises:
        InVain: it was not in time.
    """
    wish = wait_plan.wish_from_options(options)
    client = connect()
    began = clock()
    first = _read(client, wish.sent_as, wish.recursive)
    wait_plan.check_since_index(wish, first.sight.index)
    end = _End(*first)
    met = wait_plan.holds(wish, first.sight.state)
    if not met and not apply:
        met = wait_plan.changed_since_index(wish, first.sight)
    elif not met:
        end = _Wait(client, wish, first, clock, sleep).end()
        met = True
    return _report(wish, end, met, clock() - began)


def _read(client: WatchClient, key: str, recursive: bool = False) -> _Reading:
    try:
        result = client.read(key, recursive=recursive, quorum=True)
    except (errors.EtcdKeyNotFound, errors.EtcdNotDir) as exc:
        # Below a key with a value nothing exists either.
        return _Reading(wait_plan.sight_of(None, exc.index or 0), exc.endpoint, 1)
    return _reading(result, recursive=recursive)


def _reading(result: EtcdResult, *, recursive: bool) -> _Reading:
    sight = wait_plan.sight_of(result.node, result.x_etcd_index or 0, recursive=recursive)
    return _Reading(sight, result.endpoint, result.attempts)


class _Wait:
    """One wait, from the first read on."""

    def __init__(
        self,
        client: WatchClient,
        wish: wait_plan.Wish,
        first: _Reading,
        clock: t.Callable[[], float],
        sleep: t.Callable[[float], None],
    ) -> None:
        self._wish = wish
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self._deadline = self._began + wish.seconds
        self._below = wait_plan.watches_below(wish, first.sight)
        #: What the key is compared with where the server has forgotten the events since.
        self._base = first.sight
        self._last = first
        since = first.sight.index if wish.since_index is None else wish.since_index
        self._watch = client.watcher(wish.sent_as, index=since + 1, recursive=self._below)

    def end(self) -> _End:
        """Watch until the condition holds.

        Raises:
            InVain: it did not in time.
            errors.EtcdException: the cluster's final word on reading or watching the key.
        """
        while True:
            in_time = self._clock() < self._deadline
            try:
                end = self._turn(self._deadline) if in_time else self._last_look()
            except _PASSING as exc:
                if not in_time:
                    raise self._in_vain("; no endpoint answers any more: %s" % exc) from exc
                self._sleep(max(min(PAUSE, self._deadline - self._clock()), 0))
                continue
            if end is not None:
                return end
            if not in_time:
                raise self._in_vain()

    def _turn(self, until: float) -> t.Optional[_End]:
        """What the watch tells next; None if the wait goes on after it."""
        told = self._watch.next(until)
        if told is None:
            return None
        if isinstance(told, Seen):
            return self._compare(told.state) if told.forgotten else self._look(told.state)
        return self._event(told)

    def _last_look(self) -> t.Optional[_End]:
        """The key itself, and what has happened so far and did not come; None if it was in vain."""
        return self._look(self._watch.look(LAST_LOOK)) or self._catch_up()

    def _catch_up(self) -> t.Optional[_End]:
        """Events up to the last read; whoever answered that knows them."""
        until = self._last.sight.index
        while (self._watch.index or 0) <= until:
            index = self._watch.index
            end = self._turn(self._clock() + CATCH_UP)
            if end is not None or self._watch.index == index:
                return end
        return None

    def _look(self, state: EtcdResult) -> t.Optional[_End]:
        """What the key itself shows."""
        self._last = _reading(state, recursive=False)
        return _End(*self._last) if wait_plan.holds(self._wish, self._last.sight.state) else None

    def _event(self, event: EtcdResult) -> t.Optional[_End]:
        wish = self._wish
        now = wait_plan.sight_of_event(wish, event)
        if now is None:
            return None
        before = self._last.sight.state
        self._last = _Reading(now, event.endpoint, event.attempts)
        over = wait_plan.ends_wait(wish, before, event, now)
        return _End(now, event.endpoint, event.attempts, event) if over else None

    def _compare(self, state: EtcdResult) -> t.Optional[_End]:
        """What the key itself shows, where the server has forgotten events."""
        wish = self._wish
        self._last = _reading(state, recursive=self._below)
        now = self._last.sight
        over = wait_plan.holds(wish, now.state) or wait_plan.changed_meanwhile(
            wish, self._base, now
        )
        return _End(*self._last) if over else None

    def _in_vain(self, why: str = "") -> InVain:
        report = _report(self._wish, _End(*self._last), False, self._clock() - self._began)
        return InVain(wait_plan.in_vain(self._wish, self._last.sight.state) + why, report)


def _report(wish: wait_plan.Wish, end: _End, met: bool, seconds: float) -> t.Dict[str, t.Any]:
    state, event = end.sight.state, end.event
    prev_node = None if event is None else event.prev_node
    return {
        "changed": False,
        "met": met,
        "waited": round(seconds, 3),
        "key": wish.key,
        "exists": state is not None,
        "dir": state is not None and state.is_dir,
        "value": None if state is None else state.value,
        "ttl": None if state is None else state.ttl,
        "expiration": None if state is None else state.expiration,
        "created_index": None if state is None else state.created_index or None,
        "modified_index": None if state is None else state.modified_index or None,
        "action": None if event is None else event.action,
        "event_key": None if event is None or event.node is None else event.node.key,
        "event_value": None if event is None or event.node is None else event.node.value,
        "prev_value": None if prev_node is None else prev_node.value,
        "etcd_index": end.sight.index,
        "endpoint": end.endpoint,
        "requests_sent": end.attempts,
    }
