# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A key that goes too early is found, and one that does not go."""

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.tests.chaos import checker, lifetimes
from ansible_collections.quorum.etcd.tests.chaos.history import Event, Kind
from ansible_collections.quorum.etcd.tests.unit.chaos.histories import (
    NOT_DONE,
    UNKNOWN,
    history,
    lasting,
)

CREATED = Event(5, "/c/k", "a")


def gone(seen, index=9):
    return Event(index, "/c/k", None, 5, expired=True, seen=seen)


def refresh(ttl, began, ended, *about, **others):
    return lasting(ttl, began, ended, *about, kind=Kind.REFRESH, **others)


RIGHT = {
    "in time": history([lasting(2, 1, 2, index=5)], [CREATED, gone(3.0)]),
    "late": history([lasting(2, 1, 2, index=5)], [CREATED, gone(30.0)]),
    "nobody knows when": history([lasting(2, 1, 2, index=5)], [CREATED, gone(None)]),
    "in time, by a clock that was corrected": history(
        [lasting(2, 1, 2, index=5)], [CREATED, gone(2.95)]
    ),
    "a refresh": history(
        [lasting(2, 1, 2, index=5), refresh(9, 2, 3, index=6)], [CREATED, gone(11.0)]
    ),
    "a refresh that shortens": history(
        [lasting(9, 1, 2, index=5), refresh(1, 2, 3, index=6)], [CREATED, gone(3.0)]
    ),
    "a refresh that may have shortened": history(
        [lasting(9, 1, 2, index=5), refresh(1, 2, 3, UNKNOWN)], [CREATED, gone(3.0)]
    ),
    "a refresh that was too late": history(
        [lasting(2, 1, 2, index=5), refresh(9, 3, 4, NOT_DONE)], [CREATED, gone(3.0)]
    ),
    "still there, since nothing says that it goes": history(
        [lasting(2, 1, 2, index=5), lasting(None, 2, 3, UNKNOWN)], [CREATED], ended=90.0
    ),
    "early, by a clock that was moved": history(
        [lasting(9, 1, 2, index=5)], [CREATED, gone(2.5)], clock_moved=True
    ),
    "still there, for a while": history([lasting(2, 1, 2, index=5)], [CREATED], ended=9.0),
}

WRONG = {
    "early": (
        lifetimes.TOO_EARLY,
        history([lasting(2, 1, 2, index=5)], [CREATED, gone(2.5)]),
    ),
    "early, of an outcome that is unknown": (
        lifetimes.TOO_EARLY,
        history([lasting(2, 1, 2, UNKNOWN)], [CREATED, gone(2.5)]),
    ),
    "as if it had not been refreshed": (
        lifetimes.TOO_EARLY,
        history([lasting(2, 1, 2, index=5), refresh(9, 2, 3, index=6)], [CREATED, gone(4.0)]),
    ),
    "without a TTL": (
        lifetimes.TOO_EARLY,
        history([lasting(None, 1, 2, index=5)], [CREATED, gone(90.0)]),
    ),
    "never": (
        lifetimes.TOO_LATE,
        history([lasting(2, 1, 2, index=5)], [CREATED], ended=25.0),
    ),
    "never, after a refresh": (
        lifetimes.TOO_LATE,
        history([lasting(2, 1, 2, index=5), refresh(9, 2, 3, index=6)], [CREATED], ended=33.0),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted(name):
    assert checker.check(RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name):
    rule, wrong = WRONG[name]
    assert [violation.rule for violation in checker.check(wrong)] == [rule]


def test_each_rule_is_tested():
    assert {rule for rule, unused in WRONG.values()} == {lifetimes.TOO_EARLY, lifetimes.TOO_LATE}
