# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Short histories for the tests of the checker."""

from __future__ import annotations

from ansible_collections.quorum.etcd.tests.chaos.history import (
    Event,
    History,
    Kind,
    Operation,
    Outcome,
)

DONE, UNCHANGED, NOT_DONE, UNKNOWN = Outcome


def write(value, began, ended, outcome=DONE, index=None, process="p", key="/c/k", settles=False):
    return Operation(process, Kind.WRITE, key, began, ended, outcome, value, index, None, settles)


def declare(value, began, ended, outcome=DONE, index=None, process="p"):
    """A write without a condition, which others do as well."""
    return Operation(
        process, Kind.WRITE, "/c/k", began, ended, outcome, value, index, declares=True
    )


def read(value, began, ended, index, key="/c/k"):
    return Operation("reader", Kind.READ, key, began, ended, DONE, value, index)


def delete(prev_index, began, ended, outcome=DONE, index=None, key="/c/k"):
    return Operation("p", Kind.DELETE, key, began, ended, outcome, None, index, prev_index)


def append(value, began, ended, outcome=DONE, index=None, made=None):
    return Operation(
        "p", Kind.APPEND, "/c", began, ended, outcome, value=value, index=index, made=made
    )


def lasting(ttl, began, ended, outcome=DONE, index=None, kind=Kind.WRITE):
    """The writing of a key that is to go, or its refresh."""
    value = "a" if kind is Kind.WRITE else None
    return Operation("p", kind, "/c/k", began, ended, outcome, value=value, index=index, ttl=ttl)


def count(n, by):
    return '{"n": %d, "by": "%s"}' % (n, by)


#: A key is written, changed, removed; somebody reads in between.
EVENTS = (
    Event(5, "/c/k", "a"),
    Event(7, "/c/k", "b", 5),
    Event(9, "/c/k", None, 7),
)
OPERATIONS = (
    write("a", 1, 2, index=5),
    write("b", 3, 4, index=7),
    delete(7, 5, 6, index=9),
)


def history(operations=OPERATIONS, events=EVENTS, final=None, **others):
    if final is None:
        final = {}
        for event in events:
            final[event.key] = event.value
        final = {key: value for key, value in final.items() if value is not None}
    return History(tuple(operations), tuple(events), final, **others)
