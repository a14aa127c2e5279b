# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A member list that does not fit what tasks reported is found."""

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.tests.chaos import checker, memberlists
from ansible_collections.quorum.etcd.tests.chaos.history import MemberChange, MemberList
from ansible_collections.quorum.etcd.tests.unit.chaos.histories import (
    DONE,
    NOT_DONE,
    UNCHANGED,
    UNKNOWN,
    history,
)


def listed(*urls):
    return MemberList("http://m1", urls)


def added(outcome=DONE):
    return MemberChange("d", True, outcome, 1, 2)


def removed(outcome=DONE):
    return MemberChange("d", False, outcome, 1, 2)


THREE = listed("a", "b", "c")
FOUR = listed("a", "b", "c", "d")

RIGHT = {
    "no change": [THREE, THREE],
    "came and left": [THREE, added(), FOUR, FOUR, removed(), THREE],
    "refused": [THREE, added(NOT_DONE), THREE, added(), FOUR, removed(NOT_DONE), FOUR],
    "unknown, and not done": [THREE, added(UNKNOWN), THREE],
    "unknown, and done": [THREE, added(UNKNOWN), FOUR, added(UNCHANGED), FOUR],
    "unknown, and done late": [THREE, added(UNKNOWN), THREE, FOUR],
    "unknown, and done by the time of the next": [
        *(FOUR, removed(UNKNOWN), FOUR, removed(UNCHANGED), THREE),
    ],
    "unknown, and done by the next": [THREE, added(UNKNOWN), THREE, added(), FOUR],
    "unchanged": [THREE, removed(UNCHANGED), THREE, added(), added(UNCHANGED), FOUR],
    "nothing is known before the first list": [added(), added(UNKNOWN), THREE],
}

WRONG = {
    "an addition that is not there": (memberlists.WRONG_LIST, [THREE, added(), THREE]),
    "a removal that was not": (memberlists.WRONG_LIST, [FOUR, removed(), FOUR]),
    "refused, and done": (memberlists.WRONG_LIST, [THREE, added(NOT_DONE), FOUR]),
    "refused, and removed": (memberlists.WRONG_LIST, [FOUR, removed(NOT_DONE), THREE]),
    "nothing to do, and done": (memberlists.WRONG_LIST, [THREE, removed(UNCHANGED), FOUR]),
    "one that nobody added": (memberlists.WRONG_LIST, [THREE, FOUR]),
    "unknown, done, and undone": (memberlists.WRONG_LIST, [THREE, added(UNKNOWN), FOUR, THREE]),
    "another one than that which is unknown": (
        memberlists.WRONG_LIST,
        [THREE, added(UNKNOWN), listed("b", "c", "d")],
    ),
    "changed, and it was so": (memberlists.WRONG_REPORT, [FOUR, added(), FOUR]),
    "unchanged, and it was not so": (memberlists.WRONG_REPORT, [THREE, added(UNCHANGED), FOUR]),
    "twice": (memberlists.LISTED_TWICE, [THREE, added(), listed("a", "b", "c", "d", "d")]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted(name):
    assert checker.check(history((), (), membership=RIGHT[name])) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name):
    rule, wrong = WRONG[name]
    violations = checker.check(history((), (), membership=wrong))
    assert [violation.rule for violation in violations] == [rule]


def test_each_rule_is_tested():
    rules = {memberlists.WRONG_LIST, memberlists.WRONG_REPORT, memberlists.LISTED_TWICE}
    assert {rule for rule, unused in WRONG.values()} == rules
