# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A write whose answer was lost: finding out what became of it.

PRIVATE to the collection: it can change at any time.

What follows depends on the condition that the write carried:

* One that was planned on an index can be the first write after that index and no other, so it may
  be sent again, and the event history shows which write was the first. If that one differs from
  ours, ours was not carried out. If it is equal, it is ours or that of a client that wrote the
  same: v2 keeps no author. Either way the state that the task wants was there.
* One without a condition (the server takes none for the removal of a directory, its TTL and
  in-order creation, and a task can do without) is never sent again: a copy that arrives late would
  undo what others have written since. The cluster is asked until `total_timeout` whether the
  wanted state is there.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _reading, _retry, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
)
from ansible_collections.quorum.etcd.plugins.module_utils._reading import Reading
from ansible_collections.quorum.etcd.plugins.module_utils._results import (
    EtcdResult,
    Node,
    NodeFacts,
)

#: Seconds to wait for an event that, if there is one, has happened already.
_HISTORY_WAIT = 0.5

_T = t.TypeVar("_T")


class AsksAgain(_reading.Reads, t.Protocol):
    """What this file needs of `client.Client`."""

    def until_answered(self, ask: t.Callable[[], _T]) -> _T:
        """As `Client` does."""

    def deadline(self) -> float:
        """As `Client` does."""

    def until_seen(self, look: t.Callable[[], t.Optional[_T]], deadline: float) -> t.Optional[_T]:
        """As `Client` does."""


class Outcome(t.NamedTuple):
    """How a task ended.

    Attributes:
        action: what was decided.
        reading: the read that it was decided on.
        node: the key after the write, as the server answered; None without a write.
        etcd_index, endpoint, attempts: of the last request that was answered.
    """

    action: KeyAction
    reading: Reading
    node: t.Optional[Node] = None
    etcd_index: t.Optional[int] = None
    endpoint: t.Optional[str] = None
    attempts: int = 1


class LostRace(Exception):
    """Another writer came between our read and our write.

    Attributes:
        possible: how our write ended if it was carried out all the same, which cannot be excluded;
            None: it was not.
    """

    def __init__(self, possible: t.Optional[Outcome] = None) -> None:
        super().__init__()
        self.possible = possible


def written(planned: Outcome, result: EtcdResult, etcd_index: t.Optional[int]) -> Outcome:
    return Outcome(
        planned.action,
        planned.reading,
        node=result.node,
        etcd_index=etcd_index,
        endpoint=result.endpoint,
        attempts=result.attempts,
    )


def _seen(planned: Outcome, now: Reading) -> Outcome:
    """The outcome of a write of which a read shows what it was to bring about."""
    return Outcome(
        planned.action,
        planned.reading,
        node=now.node,
        etcd_index=now.etcd_index,
        endpoint=now.endpoint,
        attempts=now.attempts,
    )


# -- a write with a condition, in doubt


def settle(
    client: AsksAgain, planned: Outcome, unknown: errors.EtcdOutcomeUnknown
) -> t.Optional[Outcome]:
    """Find out what became of a write; None: nothing so far, and it may be sent again.

    Raises:
        LostRace: another write came first.
        errors.EtcdOutcomeUnknown: there is no telling.
    """
    action, base = planned.action, planned.reading
    try:
        since = client.until_answered(lambda: _since(client, action.sent_as, base))
    except errors.EtcdEventIndexCleared as exc:
        raise _retry.still_unknown(unknown, "the server has forgotten what happened since") from exc
    except errors.EtcdException as exc:
        raise _retry.still_unknown(unknown, "reading the key back failed too: %s" % exc) from exc
    if since is None:
        return None
    now, events = since
    for event in events:
        node = _equal_node(event, action)
        if node is not None:
            return _attributed(planned, event, node, now, unknown)
    if base.state is None and now.state is None:
        return None
    if _older(now.state, base.etcd_index):
        raise LostRace()
    if not events and _visibly_changed(base.state, now.state):
        raise _retry.still_unknown(
            unknown, "the key has changed, and the server shows no event for it"
        )
    if action.kind is ActionKind.REFRESH and not any(_follows(one, action) for one in events):
        # A refresh makes no event, but it moved the index before the first event: ours, or another.
        if action.exclusive:
            raise _equal_found(unknown, None if now.state is None else now.state.modified_index)
        raise LostRace(_seen(planned, now))
    raise LostRace()


def _since(
    client: AsksAgain, key: str, base: Reading
) -> t.Optional[t.Tuple[Reading, t.List[EtcdResult]]]:
    """The key now, and its events since it was read before; None if nothing has touched it."""
    now = _reading.read(client, key)
    if _untouched(base.state, now.state):
        return None
    return now, _events(client, key, base.etcd_index, now.etcd_index)


def _attributed(
    planned: Outcome,
    event: EtcdResult,
    node: Node,
    now: Reading,
    unknown: errors.EtcdOutcomeUnknown,
) -> Outcome:
    """The outcome where this event, which is equal to our write, came first.

    What the task wants was there, whoever made it; only a task that has to know who did must be
    told that nobody can tell.
    """
    outcome = written(planned, event, now.etcd_index)
    if planned.action.exclusive:
        raise _equal_found(unknown, node.modified_index)
    if (node.ttl or 0) > (planned.action.ttl or 0):
        # It lives longer than it is to, so it is not ours, unless the members' clocks differ.
        raise LostRace(outcome)
    return outcome


def _equal_found(
    unknown: errors.EtcdOutcomeUnknown, index: t.Optional[int]
) -> errors.EtcdOutcomeUnknown:
    return _retry.still_unknown(
        unknown,
        "a write that is equal to it was carried out%s, and the store does not tell whether it was"
        " this one or that of another client"
        % ("" if index is None else " at the index %d" % index),
        index,
    )


def _older(state: t.Optional[KeyState], index: int) -> bool:
    """Whether what is there now was there already at this index, before ours was sent."""
    return state is not None and state.modified_index <= index


def _visibly_changed(before: t.Optional[KeyState], now: t.Optional[KeyState]) -> bool:
    """Whether there must be an event: all but a refresh makes one, and after that there is a TTL."""
    if before is None or now is None:
        return before is not now
    return now.ttl is None or before.value != now.value or before.created_index != now.created_index


def _untouched(before: t.Optional[KeyState], now: t.Optional[KeyState]) -> bool:
    return before is not None and now is not None and now.modified_index == before.modified_index


def _events(client: AsksAgain, key: str, since: int, until: int) -> t.List[EtcdResult]:
    """The events on the key after one index and up to another.

    The quorum read that gave the second has made sure that the endpoint knows them all.

    Raises:
        errors.EtcdEventIndexCleared: the server has forgotten some.
    """
    events = []  # type: t.List[EtcdResult]
    while since < until:
        try:
            event = client.read(key, wait=True, wait_index=since + 1, timeout=_HISTORY_WAIT)
        except errors.EtcdWatchTimeout:
            break
        events.append(event)
        if event.node is None or event.node.modified_index is None:
            break
        since = event.node.modified_index
    return events


def _equal_node(event: EtcdResult, action: KeyAction) -> t.Optional[Node]:
    """The node, if this event is what our write makes of the key: ours, or an equal write.

    Of a directory above the key, watchers of the key see only that it goes, and our writes make no
    such event.
    """
    node = event.node
    return node if node is not None and _is_equal(event, node, action) else None


def _is_equal(event: EtcdResult, node: Node, action: KeyAction) -> bool:
    if action.kind is ActionKind.DELETE:
        return event.action == "compareAndDelete" and _follows(event, action)
    if (node.expiration is None) != (action.ttl is None):
        return False
    if action.before is None:
        # A directory has no value, and a key always has one.
        return event.action == "create" and node.value == action.value
    return (
        event.action == "compareAndSwap" and node.value == action.value and _follows(event, action)
    )


def _follows(event: EtcdResult, action: KeyAction) -> bool:
    """Whether the event replaced the very state that the action was planned on."""
    before, found = action.before, event.prev_node
    return (
        before is not None and found is not None and found.modified_index == before.modified_index
    )


# -- a write without a condition, in doubt


def look_for(
    client: AsksAgain,
    planned: Outcome,
    unknown: errors.EtcdOutcomeUnknown,
    deadline: t.Optional[float],
) -> Outcome:
    """Wait until what was written is there.

    Raises:
        errors.EtcdOutcomeUnknown: it is not there in time; or it is, and the task has to know whose
            write it was.
    """
    action = planned.action

    def look() -> t.Optional[Reading]:
        now = _reading.read(client, action.sent_as)
        if action.kind is ActionKind.ENQUEUE:
            return None if _made_since(now, planned) is None else now
        return now if _holds(action, now.state) else None

    try:
        found = client.until_seen(look, client.deadline() if deadline is None else deadline)
    except errors.EtcdException as exc:
        raise _retry.still_unknown(unknown, "reading the key back failed too: %s" % exc) from exc
    if found is None:
        raise _retry.still_unknown(
            unknown,
            "it was not seen to be carried out, and may still be; it is not sent again, as a copy"
            " that arrives late would undo what others write until then",
        )
    if action.exclusive:
        raise _equal_found(unknown, _index_of(client, planned, found))
    return _seen(planned, found)


def _holds(action: KeyAction, now: t.Optional[KeyState]) -> bool:
    """Whether what the action was to bring about is there."""
    if action.kind in (ActionKind.DELETE, ActionKind.REMOVE_DIR):
        return now is None
    if now is None or now.is_dir != (action.kind is ActionKind.SET_DIR_TTL):
        return False
    if now.value != action.value:
        return False
    if action.ttl is None:
        return now.ttl is None
    return now.ttl is not None and 0 < now.ttl <= action.ttl


def _made_since(now: Reading, planned: Outcome) -> t.Optional[int]:
    """The index of the first in-order key that is equal to ours and newer than the first read."""
    action = planned.action
    made = [
        created
        for unused, value, is_dir, left, expiration, created, modified in _below(now)
        if created > planned.reading.etcd_index
        and value == action.value
        and (expiration is None) == (action.ttl is None)
    ]
    return min(made, default=None)


def _below(now: Reading) -> t.Iterable[NodeFacts]:
    return () if now.node is None else now.node.walk()


def _index_of(client: AsksAgain, planned: Outcome, found: Reading) -> t.Optional[int]:
    """The index at which what was found came about; None if the server has forgotten it."""
    if planned.action.kind is ActionKind.ENQUEUE:
        return _made_since(found, planned)
    try:
        events = _events(
            client, planned.action.sent_as, planned.reading.etcd_index, found.etcd_index
        )
    except errors.EtcdException:
        return None
    indexes = [event.node.modified_index for event in events if event.node is not None]
    return indexes[-1] if indexes else None
