# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts as late, and the race with real threads; how reads use them is in test__transport."""

from __future__ import annotations

import queue
import threading

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._hedging import Lateness, Race

#: Seconds after which a thread that should have reported is said to have got lost.
PATIENCE = 30.0


def test_what_is_late_grows_with_what_was_seen_and_is_forgotten():
    lateness = Lateness(0.1, 10.0)
    assert (lateness.known, lateness.delay, lateness.unknown) == (False, 0.1, 2.5)
    lateness.saw(0.01)
    assert (lateness.known, lateness.delay) == (True, 0.1)
    lateness.saw(0.8)
    assert lateness.delay == pytest.approx(1.6)
    for unused in range(8):
        assert lateness.delay == pytest.approx(1.6)
        lateness.saw(0.01)
    assert lateness.delay == 0.1


@pytest.mark.parametrize("least, most", [(0.1, 5.0), (8.0, 8.0)])
def test_a_hedge_comes_while_there_is_time_for_it(least, most):
    lateness = Lateness(least, 10.0)
    lateness.saw(9.0)
    assert lateness.delay == most


def test_a_race_hands_over_what_comes_first():
    race, held = Race(), threading.Event()
    race.start(lambda: held.wait(PATIENCE) and "slow")
    race.start(lambda: "fast")
    assert race.next(PATIENCE) == "fast"
    assert race.next(0) is None
    held.set()
    assert race.next(PATIENCE) == "slow"


def test_what_comes_after_a_race_was_left_is_reported_once():
    race, held = Race(), threading.Event()
    reported = queue.Queue()
    race.start(lambda: held.wait(PATIENCE) and "later")
    race.start(lambda: "unread")
    while race._returned.empty():
        assert not held.wait(0.01)
    race.leave(reported.put)
    assert reported.get(timeout=PATIENCE) == "unread"
    held.set()
    assert reported.get(timeout=PATIENCE) == "later"
    assert reported.empty()
