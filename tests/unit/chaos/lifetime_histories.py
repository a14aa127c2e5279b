# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys that go in time, too early, and never: rows of `test_checker`."""

from __future__ import annotations

from ansible_collections.quorum.etcd.tests.chaos import lifetimes
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
