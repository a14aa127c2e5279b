# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checker finds each thing that it has to find, and nothing where all is right."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.quorum.etcd.tests.chaos import checker, lifetimes
from ansible_collections.quorum.etcd.tests.chaos.history import Event, Watched
from ansible_collections.quorum.etcd.tests.unit.chaos import lifetime_histories
from ansible_collections.quorum.etcd.tests.unit.chaos.histories import (
    EVENTS,
    NOT_DONE,
    OPERATIONS,
    UNCHANGED,
    UNKNOWN,
    append,
    count,
    declare,
    delete,
    history,
    read,
    write,
)

#: What two appends to a directory lead to.
APPENDED = (Event(5, "/c/05", "a"), Event(7, "/c/07", "b"))

RIGHT = {
    **lifetime_histories.RIGHT,
    "nothing": history((), ()),
    "acknowledged": history(),
    "indexes that nobody was told": history([write("a", 1, 2), write("b", 3, 4)], EVENTS[:2]),
    "unknown, and done": history([write("a", 1, 2, UNKNOWN)], EVENTS[:1]),
    "unknown, and not done": history([write("a", 1, 2, UNKNOWN)], ()),
    "not done": history([write("z", 1, 2, NOT_DONE)], ()),
    "a deletion that is unknown": history(OPERATIONS[:2] + (delete(7, 5, 6, UNKNOWN),), EVENTS),
    "unchanged": history([write("a", 1, 2, index=5), write("a", 3, 4, UNCHANGED)], EVENTS[:1]),
    "unchanged, as it was for a moment": history(
        [write("a", 1, 6, UNCHANGED, process="q"), *OPERATIONS], EVENTS
    ),
    "side by side, in the other order": history(
        [write("a", 1, 6, index=7), write("b", 1, 6, index=5, process="q")],
        [Event(5, "/c/k", "b"), Event(7, "/c/k", "a", 5)],
    ),
    "reads": history(
        OPERATIONS + (read("a", 2.1, 2.2, 5), read("a", 2.9, 5, 6), read(None, 6.1, 7, 9)), EVENTS
    ),
    "a read before anything": history([read(None, 0, 1, 4), *OPERATIONS], EVENTS),
    "a key that expired": history(
        [write("a", 1, 2, index=5), read(None, 3, 4, 6)],
        [EVENTS[0], Event(6, "/c/k", None, 5, expired=True)],
    ),
    "appends": history([append("a", 1, 2, made="/c/05"), append("b", 3, 4, index=7)], APPENDED),
    "an append that is unknown, and one that is taken away": history(
        [append("a", 1, 2, UNKNOWN), append("b", 1, 2), delete(7, 5, 6, key="/c/07")],
        [*APPENDED, Event(9, "/c/07", None, 7)],
    ),
    "a watch": history(watched=[Watched("w", "/c", 6, 9, EVENTS[1:])]),
    "a watch on a server that hides an event": history(
        OPERATIONS,
        (*EVENTS[:2], dataclasses.replace(EVENTS[2], hidden=True)),
        watched=[Watched("w", "/c", 5, 9, EVENTS[:2])],
    ),
    "a watch on a server that mixes up what was replaced": history(
        watched=[
            Watched("w", "/c", 5, 9, (dataclasses.replace(EVENTS[0], prev_index=3), *EVENTS[1:]))
        ]
    ),
    "a watch of another key": history(watched=[Watched("w", "/c/k2", 6, 9, ())]),
    "equal values, an event each": history(
        [write("a", 1, 4, index=5), write("a", 1, 4, index=6, process="q")],
        [EVENTS[0], Event(6, "/c/k", "a", 5)],
    ),
    "equal values, one of them unknown": history(
        [write("a", 1, 4, index=5), write("a", 1, 4, UNKNOWN, process="q")], EVENTS[:1]
    ),
    "a state that two declare, and one event": history(
        [declare("a", 1, 4, index=5), declare("a", 1, 4, index=5, process="q")], EVENTS[:1]
    ),
    "a state that one declares, and an event that another one made": history(
        [declare("a", 1, 4, index=5), write("a", 1, 4, index=5, process="q")], EVENTS[:1]
    ),
    "a counter": history(
        [
            write(count(1, "p1"), 1, 2, index=5),
            write(count(2, "q1"), 3, 4, UNKNOWN, process="q"),
            write(count(2, "p2"), 3, 4, NOT_DONE),
        ],
        [Event(5, "/c/k", count(1, "p1")), Event(6, "/c/k", count(2, "q1"), 5)],
        counters=("/c/k",),
    ),
}

WRONG = {
    **lifetime_histories.WRONG,
    "lost": (checker.LOST, history([*OPERATIONS, write("c", 7, 8)], EVENTS)),
    "lost, one of two": (
        checker.LOST,
        history([write("a", 1, 2), write("a", 3, 4)], EVENTS[:1]),
    ),
    "a deletion that was not": (checker.LOST, history(OPERATIONS, EVENTS[:2])),
    "changed, where nothing was": (
        checker.LOST,
        history([write("a", 1, 2, index=5), write("a", 3, 4)], EVENTS[:1]),
    ),
    "one event for two": (
        checker.CLAIMED,
        history([write("a", 1, 4, index=5), write("a", 1, 4, index=5, process="q")], EVENTS[:1]),
    ),
    "one event for two that were told no index": (
        checker.LOST,
        history([write("a", 1, 4), write("a", 1, 4, process="q")], EVENTS[:1]),
    ),
    "one deletion for two": (
        checker.CLAIMED,
        history([*OPERATIONS, delete(7, 5, 6, index=9)], EVENTS),
    ),
    "a state that was declared and changed by nothing": (
        checker.LOST,
        history([declare("a", 1, 2)], ()),
    ),
    "twice": (checker.TWICE, history([write("a", 1, 2)], [EVENTS[0], Event(6, "/c/k", "a", 5)])),
    "unknown, and twice": (
        checker.TWICE,
        history([write("a", 1, 2, UNKNOWN)], [EVENTS[0], Event(6, "/c/k", "a", 5)]),
    ),
    "not done, and done": (
        checker.DONE_AFTER_ALL,
        history([write("a", 1, 2, NOT_DONE)], EVENTS[:1]),
    ),
    "unchanged, and written": (
        checker.DONE_AFTER_ALL,
        history(
            [write("a", 1, 2, index=5), write("a", 3, 4, UNCHANGED)],
            [EVENTS[0], Event(6, "/c/k", "a", 5)],
        ),
    ),
    "a write to a key that nobody was to write": (
        checker.NOBODYS,
        history(OPERATIONS, (*EVENTS, Event(10, "/c/other", "a"))),
    ),
    "a write of a value that nobody gave": (
        checker.NOBODYS,
        history(OPERATIONS[:1], (EVENTS[0], Event(6, "/c/k", "b", 5))),
    ),
    "a deletion that nobody asked for": (checker.NOBODYS, history(OPERATIONS[:2], EVENTS)),
    "another index": (
        checker.WRONG_INDEX,
        history([write("a", 1, 2, index=6)], EVENTS[:1]),
    ),
    "an append of another key": (
        checker.WRONG_KEY,
        history([append("a", 1, 2, made="/c/06")], APPENDED[:1]),
    ),
    "an append that is lost": (checker.LOST, history([append("a", 1, 2)], ())),
    "an append that was repeated": (
        checker.TWICE,
        history([append("a", 1, 2, UNKNOWN)], [APPENDED[0], Event(7, "/c/07", "a")]),
    ),
    "an append that was refused, and done": (
        checker.DONE_AFTER_ALL,
        history([append("a", 1, 2, NOT_DONE)], APPENDED[:1]),
    ),
    "an append that nobody asked for": (
        checker.NOBODYS,
        history([append("a", 1, 2)], APPENDED),
    ),
    "appends that change places": (
        checker.ORDER,
        history([append("a", 3, 4, index=5), append("b", 1, 2, index=7)], APPENDED),
    ),
    "appends whose keys are in another order": (
        checker.QUEUE,
        history(
            [append("a", 1, 2), append("b", 3, 4)],
            [Event(5, "/c/07", "a"), Event(7, "/c/05", "b")],
        ),
    ),
    "out of order": (
        checker.ORDER,
        history(
            [write("a", 3, 4, index=5), write("b", 1, 2, index=7)],
            EVENTS[:2],
        ),
    ),
    "a stale read": (checker.STALE, history([*OPERATIONS[:2], read("a", 4.1, 5, 5)], EVENTS[:2])),
    "a read of what was not": (
        checker.WRONG_READ,
        history([*OPERATIONS, read("z", 2.1, 2.2, 5)], EVENTS),
    ),
    "a read that finds nothing": (
        checker.WRONG_READ,
        history([*OPERATIONS[:2], read(None, 4.1, 5, 8)], EVENTS[:2]),
    ),
    "unchanged, and it was not so": (
        checker.NOT_UNCHANGED,
        history([*OPERATIONS[:2], write("a", 4.5, 4.6, UNCHANGED, process="q")], EVENTS[:2]),
    ),
    "a watch that misses one": (
        checker.WATCH_MISSED,
        history(watched=[Watched("w", "/c", 5, 9, EVENTS[::2])]),
    ),
    "a watch that misses the last": (
        checker.WATCH_MISSED,
        history(watched=[Watched("w", "/c/k", 5, 9, EVENTS[:2])]),
    ),
    "a watch that shows one twice": (
        checker.WATCH_TWICE,
        history(watched=[Watched("w", "/c", 5, 9, EVENTS[:1] + EVENTS)]),
    ),
    "a watch in another order": (
        checker.WATCH_TWICE,
        history(watched=[Watched("w", "/c", 5, 9, EVENTS[::-1])]),
    ),
    "a watch that makes one up": (
        checker.WATCH_TWICE,
        history(watched=[Watched("w", "/c", 5, 9, EVENTS + (Event(9, "/c/z", "z"),))]),
    ),
    "a counter that skips": (
        checker.COUNTER,
        history(
            [write(count(1, "p"), 1, 2), write(count(3, "p"), 3, 4)],
            [Event(5, "/c/k", count(1, "p")), Event(6, "/c/k", count(3, "p"), 5)],
            counters=("/c/k",),
        ),
    ),
    "a counter that somebody set back": (
        checker.COUNTER,
        history(
            [write(count(1, "p"), 1, 2), write(count(1, "q"), 3, 4)],
            [Event(5, "/c/k", count(1, "p")), Event(6, "/c/k", count(1, "q"), 5)],
            counters=("/c/k",),
        ),
    ),
    "another end": (checker.FINAL, history(OPERATIONS, EVENTS, {"/c/k": "b"})),
    "less at the end": (checker.FINAL, history(OPERATIONS[:2], EVENTS[:2], {})),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted(name):
    assert checker.check(RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name):
    rule, wrong = WRONG[name]
    assert [violation.rule for violation in checker.check(wrong)] == [rule]


def test_each_rule_is_tested():
    rules = {
        value
        for module in (checker, lifetimes)
        for name, value in vars(module).items()
        if name.isupper() and name[0] != "_" and isinstance(value, str)
    }
    assert {rule for rule, unused in WRONG.values()} == rules
