# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving up is found where others were answered all along."""

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.tests.chaos import checker, reach
from ansible_collections.quorum.etcd.tests.unit.chaos.histories import (
    UNKNOWN,
    history,
    read,
    write,
)


def lost(began, ended):
    return write("a", began, ended, UNKNOWN, settles=True)


def answers(since, until, index=4, took=0.01, every=0.2):
    count = round((until - since) / every)
    moments = [since + every * number for number in range(count + 1)]
    return [read(None, moment, moment + took, index) for moment in moments]


RIGHT = {
    "nobody is answered": [lost(1, 9)],
    "nobody is answered for a while": [lost(1, 9), *answers(0, 6), *answers(6.6, 10)],
    "nobody is answered at the end": [lost(1, 9), *answers(0, 8.5)],
    "nobody is answered at the beginning": [lost(6, 9), *answers(6.5, 10)],
    "answers that may be older than they seem": [lost(1, 9), *answers(0, 10, took=0.2)],
    "nobody remembers": [lost(1, 9), *answers(0, 1), *answers(1.1, 10, index=1500)],
    "of one that does not ask": [write("a", 1, 9, UNKNOWN), *answers(0, 10)],
}

WRONG = {
    "of a short one": [lost(6, 6.5), *answers(5, 10)],
    "of a long one, with an outage long before": [lost(1, 9), *answers(0, 1), *answers(3, 10)],
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_accepted(name):
    assert checker.check(history(RIGHT[name], ())) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name):
    violations = checker.check(history(WRONG[name], ()))
    assert [violation.rule for violation in violations] == [reach.IN_REACH]
