# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read, plan, write: bringing a key or directory to the state that a task wishes.

PRIVATE to the collection: it can change at any time.

Every write carries the condition that it was planned under, so of two writers that race one loses
and knows it; the loser reads and plans again. A write whose answer never came is settled by what
the cluster says afterwards: its event history tells which write followed the index that ours was
planned on, and only one write can.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _retry, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    Incomplete,
    KeyAction,
    KeyState,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult, Node

#: How many times a task reads and plans anew after it has lost a race.
ATTEMPTS = 10

#: Seconds to wait for an event that, if there is one, has happened already.
_HISTORY_WAIT = 0.5

_T = t.TypeVar("_T")

Plan = t.Callable[[t.Optional[KeyState]], KeyAction]


class KeyClient(t.Protocol):
    """What this file needs of `client.Client`."""

    def read(
        self,
        key: str,
        *,
        recursive: bool = False,
        quorum: bool = False,
        wait: bool = False,
        wait_index: t.Optional[int] = None,
        timeout: t.Optional[float] = None,
    ) -> EtcdResult:
        """As `Client` does."""

    def compare_and_swap(
        self,
        key: str,
        value: str,
        prev_value: t.Optional[str] = None,
        prev_index: t.Optional[int] = None,
        prev_exist: t.Optional[bool] = None,
        ttl: t.Optional[int] = None,
    ) -> EtcdResult:
        """As `Client` does."""

    def compare_and_delete(
        self, key: str, prev_value: t.Optional[str] = None, prev_index: t.Optional[int] = None
    ) -> EtcdResult:
        """As `Client` does."""

    def create_in_order(
        self, directory: str, value: str, ttl: t.Optional[int] = None
    ) -> EtcdResult:
        """As `Client` does."""

    def update_ttl(self, key: str, ttl: int, prev_index: t.Optional[int] = None) -> EtcdResult:
        """As `Client` does."""

    def mkdir(self, directory: str, ttl: t.Optional[int] = None) -> EtcdResult:
        """As `Client` does."""

    def rmdir(self, directory: str, recursive: bool = False) -> EtcdResult:
        """As `Client` does."""

    def update_dir_ttl(self, directory: str, ttl: t.Optional[int]) -> EtcdResult:
        """As `Client` does."""

    def until_answered(self, ask: t.Callable[[], _T]) -> _T:
        """As `Client` does."""


class Reading(t.NamedTuple):
    """What a quorum read found: the key's state and the node itself (None: no such key), and whence.

    Attributes:
        blocked_by: the key with a value that stands where a directory above this key is needed, so
            that this key cannot exist; None for none.
    """

    state: t.Optional[KeyState]
    etcd_index: int
    endpoint: t.Optional[str]
    attempts: int
    node: t.Optional[Node] = None
    blocked_by: t.Optional[str] = None


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
    """Another writer came between our read and our write; ours was not carried out."""


#: What the server answers to a write whose condition no longer holds.
RACE = (
    errors.EtcdTestFailed,
    errors.EtcdNodeExist,
    errors.EtcdKeyNotFound,
    errors.EtcdNotFile,
    errors.EtcdNotDir,
)


def preview(client: KeyClient, key: str, plan: Plan, *, recursive: bool = False) -> Outcome:
    """What `converge` would do, without a write.

    Raises:
        errors.EtcdException: the key could not be read.
        Refusal: from the plan.
    """
    return _observed(plan, _read(client, key, recursive))


def converge(client: KeyClient, key: str, plan: Plan, *, recursive: bool = False) -> Outcome:
    """Read the key, plan, and carry out what was planned, again until no other writer interferes.

    Args:
        key: as it is to be sent, with a slash at its end or without.
        recursive: read all that is below a directory, not its children only.

    Raises:
        Incomplete: of a change that takes two writes, the second failed.
        errors.EtcdConflict: other writers interfered each time.
        errors.EtcdOutcomeUnknown: a write was sent, and the cluster cannot tell what became of it.
        errors.EtcdException: anything else that the cluster answers.
        Refusal: from the plan.
    """
    outcome = _observed(plan, _read(client, key, recursive))
    for unused in range(ATTEMPTS):
        if not outcome.action.changes:
            return outcome
        try:
            return _carry_out_all(client, outcome)
        except errors.EtcdDirNotEmpty as exc:
            raise Refusal(
                "%s is not empty, though a listing shows no children: it holds hidden ones, whose"
                " names start with an underscore, or one was made just now; recursive: true removes"
                " them too" % outcome.action.key,
                error=errors.EtcdDirNotEmpty,
            ) from exc
        except LostRace:
            outcome = _observed(plan, _read(client, key, recursive))
    found = outcome.reading.state
    raise errors.EtcdConflict(
        "%s was changed by another writer in each of %d attempts (its modified index is now %s)"
        % (outcome.action.key, ATTEMPTS, "none" if found is None else found.modified_index),
        index=outcome.reading.etcd_index,
        endpoint=outcome.reading.endpoint,
    )


def read_states(client: KeyClient, key: str) -> t.Tuple[t.Dict[str, KeyState], Reading]:
    """What is at the key and, if it is a directory, below it; by full key, from one request.

    Raises:
        errors.EtcdException: it could not be read.
    """
    reading = _read(client, key, recursive=True, children=False)
    if reading.node is None:
        return {}, reading
    return {one[0]: KeyState(*one[1:]) for one in reading.node.walk()}, reading


def _read(
    client: KeyClient, key: str, recursive: bool = False, *, children: bool = True
) -> Reading:
    try:
        result = client.read(key, recursive=recursive, quorum=True)
    except errors.EtcdKeyNotFound as exc:
        return Reading(None, exc.index or 0, exc.endpoint, 1)
    except errors.EtcdNotDir as exc:
        return Reading(None, exc.index or 0, exc.endpoint, 1, blocked_by=exc.cause or "a key")
    return Reading(
        None if result.node is None else _state(result.node, children),
        result.x_etcd_index or 0,
        result.endpoint,
        result.attempts,
        result.node,
    )


def _state(node: Node, children: bool) -> KeyState:
    below = node.walk()
    state = KeyState(*next(below)[1:])
    return state._replace(children=tuple(sorted(one[0] for one in below))) if children else state


def refuse_below_value(key: str, reading: Reading) -> None:
    """For a plan that writes: a key cannot exist below one that holds a value.

    A plan that finds nothing to do (`state: absent`) is right there.

    Raises:
        Refusal: such a key stands above this one.
    """
    if reading.blocked_by is not None:
        raise Refusal(
            "%s cannot exist: %s above it is a key with a value, not a directory"
            % (key, reading.blocked_by),
            error=errors.EtcdNotDir,
        )


def _observed(plan: Plan, reading: Reading) -> Outcome:
    action = plan(reading.state)
    if action.changes:
        refuse_below_value(action.key, reading)
    return Outcome(
        action,
        reading,
        etcd_index=reading.etcd_index,
        endpoint=reading.endpoint,
        attempts=reading.attempts,
    )


def _carry_out_all(client: KeyClient, planned: Outcome) -> Outcome:
    """Carry out the action and what follows it."""
    first = carry_out(client, planned)
    rest = planned.action.then
    if rest is None:
        return first
    gone = Reading(None, first.etcd_index or 0, first.endpoint, first.attempts)
    try:
        last = carry_out(client, planned._replace(action=rest, reading=gone))
    except (LostRace, errors.EtcdException) as exc:
        raise Incomplete(
            "the key %s that was in the way is deleted, and the directory was not seen to be made"
            " in its place: %s" % (planned.action.key, str(exc) or "another writer was faster"),
            changed=True,
        ) from exc
    return last._replace(action=planned.action, reading=planned.reading)


def carry_out(
    client: KeyClient, planned: Outcome, unknown: t.Optional[errors.EtcdOutcomeUnknown] = None
) -> Outcome:
    """Write once, or as often as it takes to know that it was written once.

    A copy that is sent again carries the condition of the first, so of the two, one at most is
    carried out.

    Args:
        unknown: how the first copy ended, if it has been sent already.

    Raises:
        LostRace, Refusal, errors.EtcdException: it was not carried out.
        errors.EtcdOutcomeUnknown: the cluster cannot tell whether it was.
    """
    for unused in range(ATTEMPTS):
        if unknown is not None:
            settled = _settle(client, planned, unknown)
            if settled is not None:
                return settled
        try:
            result = checked(planned.action, write(client, planned.action))
        except RACE as exc:
            # The write that came first may be an earlier copy of ours.
            settled = _settle(client, planned, unknown) if unknown is not None else None
            if settled is None:
                raise LostRace() from exc
            return settled
        except errors.EtcdOutcomeUnknown as exc:
            if planned.action.kind is ActionKind.ENQUEUE:
                raise
            unknown = exc
        except errors.EtcdException as exc:
            if unknown is None:
                raise
            # An earlier copy may still be on its way.
            raise _retry.still_unknown(unknown, "sending it again failed: %s" % exc) from exc
        else:
            return _written(planned, result, result.x_etcd_index)
    if unknown is None:
        raise LostRace()
    settled = _settle(client, planned, unknown)
    if settled is None:
        raise unknown
    return settled


def _written(planned: Outcome, result: EtcdResult, etcd_index: t.Optional[int]) -> Outcome:
    return Outcome(
        planned.action,
        planned.reading,
        node=result.node,
        etcd_index=etcd_index,
        endpoint=result.endpoint,
        attempts=result.attempts,
    )


def write(client: KeyClient, action: KeyAction) -> EtcdResult:
    """Send the action as one request, under the condition that it was planned on."""
    key, value = action.sent_as, action.value or ""
    if action.kind is ActionKind.ENQUEUE:
        return client.create_in_order(key, value, ttl=action.ttl)
    if action.kind is ActionKind.MAKE_DIR:
        return client.mkdir(key, ttl=action.ttl)
    if action.kind is ActionKind.SET_DIR_TTL:
        return client.update_dir_ttl(key, action.ttl)
    if action.kind is ActionKind.REMOVE_DIR:
        return client.rmdir(key, recursive=action.recursive)
    if action.before is None:
        return client.compare_and_swap(key, value, prev_exist=False, ttl=action.ttl)
    index = action.before.modified_index
    if action.kind is ActionKind.DELETE:
        return client.compare_and_delete(key, prev_index=index)
    if action.kind is ActionKind.REFRESH and action.ttl is not None:
        return client.update_ttl(key, action.ttl, prev_index=index)
    return client.compare_and_swap(key, value, prev_index=index, ttl=action.ttl)


def checked(action: KeyAction, result: EtcdResult) -> EtcdResult:
    """The result of an action, unless it did to something else what was meant for a directory.

    Raises:
        errors.EtcdConflict: it did; the server takes no condition for the removal of a directory.
    """
    found = result.prev_node
    if action.kind is ActionKind.REMOVE_DIR and found is not None and not found.dir:
        raise errors.EtcdConflict(
            "a key with a value took the place of the directory %s just before it was to be"
            " removed, and was deleted in its stead" % action.key,
            endpoint=result.endpoint,
        )
    return result


def _settle(
    client: KeyClient, planned: Outcome, unknown: errors.EtcdOutcomeUnknown
) -> t.Optional[Outcome]:
    """Find out what became of a write; None: nothing so far, and it may be sent again.

    Raises:
        LostRace: another write came first, and ours was not carried out.
        errors.EtcdOutcomeUnknown: there is no telling.
    """
    action, base = planned.action, planned.reading
    try:
        since = client.until_answered(lambda: _since(client, action.sent_as, base))
    except errors.EtcdEventIndexCleared as exc:
        raise _retry.still_unknown(unknown, "the server has forgotten what happened since") from exc
    except (errors.EtcdException, Refusal) as exc:
        raise _retry.still_unknown(unknown, "reading the key back failed too: %s" % exc) from exc
    if since is None:
        return None
    now, events = since
    for event in events:
        if _is_ours(event, action):
            return _written(planned, event, now.etcd_index)
    if base.state is None and now.state is None:
        return None
    if action.kind is ActionKind.REFRESH and not events:
        # A refresh makes no event: ours was carried out, or one that did the same.
        return Outcome(
            action,
            base,
            node=now.node,
            etcd_index=now.etcd_index,
            endpoint=now.endpoint,
            attempts=now.attempts,
        )
    if _older(now.state, base.etcd_index):
        raise LostRace()
    if not events and _visibly_changed(base.state, now.state):
        raise _retry.still_unknown(
            unknown, "the key has changed, and the server shows no event for it"
        )
    raise LostRace()


def _since(
    client: KeyClient, key: str, base: Reading
) -> t.Optional[t.Tuple[Reading, t.List[EtcdResult]]]:
    """The key now, and its events since it was read before; None if nothing has touched it."""
    now = _read(client, key)
    if _untouched(base.state, now.state):
        return None
    return now, _events(client, key, base.etcd_index, now.etcd_index)


def _older(state: t.Optional[KeyState], index: int) -> bool:
    """Whether what is there now was there already at this index, before ours was sent."""
    return state is not None and state.modified_index <= index


def _visibly_changed(before: t.Optional[KeyState], now: t.Optional[KeyState]) -> bool:
    """Whether there must be an event: all but a refresh makes one."""
    if before is None or now is None:
        return before is not now
    return before.value != now.value


def _untouched(before: t.Optional[KeyState], now: t.Optional[KeyState]) -> bool:
    return before is not None and now is not None and now.modified_index == before.modified_index


def _events(client: KeyClient, key: str, since: int, until: int) -> t.List[EtcdResult]:
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
        since = event.node.modified_index or until if event.node is not None else until
    return events


def _is_ours(event: EtcdResult, action: KeyAction) -> bool:
    """Whether this event is what our write makes of the key."""
    node = event.node
    if node is None or node.key != action.key:
        return False
    if action.kind is ActionKind.MAKE_DIR:
        return event.action == "create" and node.dir
    if action.before is None:
        return event.action == "create" and node.value == action.value
    if event.prev_node is None or event.prev_node.modified_index != action.before.modified_index:
        return False
    if action.kind is ActionKind.DELETE:
        return event.action == "compareAndDelete"
    if action.kind is ActionKind.REMOVE_DIR:
        return event.action == "delete" and node.dir
    if action.kind is ActionKind.SET_DIR_TTL:
        return event.action == "update" and node.dir
    return event.action == "compareAndSwap" and node.value == action.value
