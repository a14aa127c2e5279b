# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds what clients were told against what the servers' own event history says. Pure.

Each write and each append has a value, and each deletion an index that it is conditional on, by
which its event is known. So it can be counted how often an operation took effect, whatever its
client was told. Where several clients do the same, their events are counted together, and one event
is the effect of one operation only.
"""

from __future__ import annotations

import bisect
import collections
import itertools
import json
import typing as t

from . import lifetimes, memberlists, reach
from .history import Event, History, Kind, Operation, Outcome, Violation, Watched

#: Rules, by the names that violations have.
LOST = "an acknowledged write is lost"
CLAIMED = "two clients were told that one event is theirs"
TWICE = "a write was carried out twice"
DONE_AFTER_ALL = "what was reported as not done, or as nothing to do, was done"
NOBODYS = "something was done that nobody was to do"
WRONG_INDEX = "an event is not where its writer was told it is"
WRONG_KEY = "an append made another key than its writer was told"
QUEUE = "the keys of appends are not in the order in which they were made"
ORDER = "a write that ended before another one began comes after it"
STALE = "a quorum read is older than a write that was acknowledged before it began"
WRONG_READ = "a read shows what was not there"
NOT_UNCHANGED = "what was reported as unchanged was not so"
WATCH_MISSED = "a watch missed an event"
WATCH_TWICE = "a watch showed an event twice, out of order, or one that there was not"
COUNTER = "a counter does not count"
FINAL = "the state at the end is not what the events lead to"

#: How many indexes a violation names, the last ones.
_NAMED = 8

_Identity = t.Tuple[str, str, t.Any]


def check(history: History) -> t.List[Violation]:
    """Everything in the history that must not be."""
    states = _States(history.events)
    acknowledged = _Acknowledged(history.operations)
    found = []  # type: t.List[Violation]
    found += _effects(history)
    found += _queues(history)
    found += _orders(history.operations, acknowledged)
    reads = [
        one for one in history.operations if one.kind is Kind.READ and one.outcome is Outcome.DONE
    ]
    found += _reads(reads, states, acknowledged)
    found += _unchanged(history.operations, states, acknowledged)
    found += reach.check(history.operations, acknowledged.before)
    for watched in history.watched:
        found += _watch(watched, history.events)
    for key in history.counters:
        found += _counter(key, history)
    found += _final(history, states)
    if not history.clock_moved:
        found += lifetimes.check(history)
    found += memberlists.check(history.membership)
    return found


class _States:
    """What each key held, at each index."""

    def __init__(self, events: t.Sequence[Event]) -> None:
        self._indexes = collections.defaultdict(list)  # type: t.Dict[str, t.List[int]]
        self._values = collections.defaultdict(list)  # type: t.Dict[str, t.List[t.Any]]
        for event in events:
            self._indexes[event.key].append(event.index)
            self._values[event.key].append(event.value)

    def at(self, key: str, index: float) -> t.Optional[str]:
        """Its value after the event of this index; None if it is not there."""
        place = bisect.bisect_right(self._indexes[key], index)
        return self._values[key][place - 1] if place else None

    def between(self, key: str, since: float, until: float) -> t.Set[t.Optional[str]]:
        """All values that it had from after one index until after another one."""
        first = bisect.bisect_right(self._indexes[key], since)
        last = bisect.bisect_right(self._indexes[key], until)
        return {self.at(key, since)}.union(self._values[key][first:last])

    def at_the_end(self) -> t.Dict[str, str]:
        """What is there after all events."""
        last = {key: values[-1] for key, values in self._values.items() if values}
        return {key: value for key, value in last.items() if value is not None}


class _Acknowledged:
    """The highest index that anybody had been told of, at each moment."""

    def __init__(self, operations: t.Iterable[Operation]) -> None:
        self._ends = []  # type: t.List[float]
        self._highest = []  # type: t.List[int]
        told = [(one.ended, one.index) for one in operations if one.index is not None]
        for ended, index in sorted(told):
            self._ends.append(ended)
            self._highest.append(max(index, self._highest[-1] if self._highest else 0))

    def before(self, moment: float) -> int:
        """Of the operations that had ended before this moment."""
        place = bisect.bisect_left(self._ends, moment)
        return self._highest[place - 1] if place else 0


def _identity(operation: Operation) -> _Identity:
    if operation.kind is Kind.DELETE:
        return ("delete", operation.key, operation.prev_index)
    return (operation.kind.value, operation.key, operation.value)


def _directory(key: str) -> str:
    return key.rpartition("/")[0]


def _queues_of(history: History) -> t.Set[str]:
    """Directories that are appended to."""
    return {one.key for one in history.operations if one.kind is Kind.APPEND}


def _effects(history: History) -> t.Iterator[Violation]:
    """How often each operation took effect, against what was said of it."""
    queues = _queues_of(history)
    events = collections.defaultdict(list)  # type: t.Dict[_Identity, t.List[Event]]
    for event in history.events:
        if event.value is not None and _directory(event.key) in queues:
            events["append", _directory(event.key), event.value].append(event)
        elif event.value is not None:
            events["write", event.key, event.value].append(event)
        elif not event.expired:
            events["delete", event.key, event.prev_index].append(event)
    said = collections.defaultdict(list)  # type: t.Dict[_Identity, t.List[Operation]]
    for operation in history.operations:
        if operation.kind in (Kind.WRITE, Kind.APPEND, Kind.DELETE):
            said[_identity(operation)].append(operation)
    for identity in events.keys() - said.keys():
        yield Violation(NOBODYS, str(events[identity][0]))
    for identity, operations in said.items():
        happened = events.get(identity, [])
        done = [one for one in operations if one.outcome is Outcome.DONE]
        unknown = [one for one in operations if one.outcome is Outcome.UNKNOWN]
        indexes = [event.index for event in happened]
        there = "%d events, the last at %s" % (len(indexes), indexes[-_NAMED:])
        claims = collections.Counter(
            one.index for one in done if one.index is not None and not one.declares
        )
        for index in sorted(index for index, count in claims.items() if count > 1):
            own = [str(one) for one in done if one.index == index and not one.declares]
            yield Violation(CLAIMED, "%d: %s" % (index, "; ".join(own)))
        # One that only declares a state may share the event of another one, not do without any.
        nameless = sum(one.index is None and not one.declares for one in done)
        if len(happened) < max(len(claims) + nameless, bool(done)):
            yield Violation(LOST, "%s; %s" % (done[0], there))
        elif len(happened) > len(operations):
            yield Violation(TWICE, "%s; %s" % (operations[0], there))
        elif len(happened) > len(done) + len(unknown):
            yield Violation(DONE_AFTER_ALL, "%s; %s" % (operations[0], there))
        for operation in done:
            if happened and operation.index is not None and operation.index not in indexes:
                yield Violation(WRONG_INDEX, "%s; %s" % (operation, there))
            keys = [event.key for event in happened]
            if happened and operation.made is not None and operation.made not in keys:
                yield Violation(WRONG_KEY, "%s, %s; it is %s" % (operation, operation.made, keys))


def _queues(history: History) -> t.Iterator[Violation]:
    for queue in sorted(_queues_of(history)):
        made = [event.key for event in history.events if _directory(event.key) == queue]
        made = list(dict.fromkeys(made))
        for earlier, later in zip(made, made[1:]):
            if later < earlier:
                yield Violation(QUEUE, "%s after %s" % (later, earlier))


def _orders(
    operations: t.Iterable[Operation], acknowledged: _Acknowledged
) -> t.Iterator[Violation]:
    for one in operations:
        if one.kind is not Kind.READ and one.outcome is Outcome.DONE and one.index:
            known = acknowledged.before(one.began)
            if one.index <= known:
                yield Violation(ORDER, "%s has index %d after %d" % (one, one.index, known))


def _reads(
    reads: t.Iterable[Operation], states: _States, acknowledged: _Acknowledged
) -> t.Iterator[Violation]:
    """A quorum read tells the store's index, so it is known which state it has to show."""
    for read in reads:
        if read.index is None:
            continue
        known = acknowledged.before(read.began)
        if read.index < known:
            yield Violation(STALE, "%s at index %d after %d" % (read, read.index, known))
        there = states.at(read.key, read.index)
        if read.value != there:
            yield Violation(WRONG_READ, "%s at index %d, there was %s" % (read, read.index, there))


def _unchanged(
    operations: t.Sequence[Operation], states: _States, acknowledged: _Acknowledged
) -> t.Iterator[Violation]:
    """Some state since the operation began must have been as it wanted it to be."""
    begun = sorted(
        (one.began, one.index)
        for one in operations
        if one.kind is Kind.WRITE and one.index is not None
    )
    moments = [began for began, unused in begun]
    # The lowest index of the writes that began then or later.
    lowest = list(itertools.accumulate((index for unused, index in reversed(begun)), min))[::-1]
    for one in operations:
        if one.kind is Kind.WRITE and one.outcome is Outcome.UNCHANGED:
            later = bisect.bisect_right(moments, one.ended)
            until = lowest[later] if later < len(lowest) else float("inf")
            values = states.between(one.key, acknowledged.before(one.began), until)
            if one.value not in values:
                yield Violation(NOT_UNCHANGED, "%s; it was %s" % (one, sorted(map(str, values))))


def _watch(watched: Watched, events: t.Sequence[Event]) -> t.Iterator[Violation]:
    below = watched.key.rstrip("/") + "/"
    there = [
        event
        for event in events
        if watched.since <= event.index <= watched.until
        and (event.key == watched.key or event.key.startswith(below))
    ]
    shown = list(watched.events)
    if shown == there:
        return
    missed = [event for event in there if event not in shown and not event.hidden]
    wanted = [event for event in there if event in shown]
    about = "%s's watch of %s from %d to %d" % (
        watched.process,
        watched.key,
        watched.since,
        watched.until,
    )
    if missed:
        yield Violation(WATCH_MISSED, "%s: %s" % (about, missed[:3]))
    if wanted != shown:
        pairs = itertools.zip_longest(shown, wanted)
        wrong = ["%s, where there was %s" % pair for pair in pairs if pair[0] != pair[1]]
        yield Violation(WATCH_TWICE, "%s: %s" % (about, wrong[0]))


def _counter(key: str, history: History) -> t.Iterator[Violation]:
    count = 0
    for event in history.events:
        if event.key != key:
            continue
        next_count = json.loads(event.value)["n"] if event.value is not None else None
        if next_count != count + 1:
            yield Violation(COUNTER, "%s goes from %d to %s" % (key, count, next_count))
            return
        count = next_count
    mine = [one for one in history.operations if one.key == key and one.kind is Kind.WRITE]
    done = sum(one.outcome is Outcome.DONE for one in mine)
    unknown = sum(one.outcome is Outcome.UNKNOWN for one in mine)
    if not done <= count <= done + unknown:
        yield Violation(
            COUNTER,
            "%s ends at %d after %d increments and %d unknown ones" % (key, count, done, unknown),
        )


def _final(history: History, states: _States) -> t.Iterator[Violation]:
    there = states.at_the_end()
    for key in sorted(set(there).union(history.final)):
        if there.get(key) != history.final.get(key):
            yield Violation(
                FINAL, "%s is %s, not %s" % (key, history.final.get(key), there.get(key))
            )
