# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether keys with a TTL live as long as their clients were told, and not for ever. Pure.

A refresh makes no event, so it shows only in when its key goes.
"""

from __future__ import annotations

import collections
import typing as t

from .history import Event, History, Kind, Operation, Outcome, Violation

TOO_EARLY = "a key expired before its time"
TOO_LATE = "a key outlived its TTL"

#: Seconds by which the clock of the servers may be corrected while a key lives.
_TOLERANCE = 0.1

#: Seconds after which a key must have gone. The run waits for that as long, so a machine that is
#: slow is no reason.
GRACE = 20.0


def check(history: History) -> t.Iterator[Violation]:
    """Each key that went too early or did not go."""
    given = collections.defaultdict(list)  # type: t.Dict[str, t.List[Operation]]
    for one in history.operations:
        if one.kind in (Kind.WRITE, Kind.REFRESH):
            if one.outcome in (Outcome.DONE, Outcome.UNKNOWN):
                given[one.key].append(one)
    for event in history.events:
        if event.expired and event.seen is not None:
            due = _due(event, given[event.key])
            if event.seen < due - _TOLERANCE:
                yield Violation(
                    TOO_EARLY, "%s, seen %.3f s before that" % (event, due - event.seen)
                )
    for key in sorted(history.final):
        ends = [one.ended + one.ttl for one in given[key] if one.ttl is not None]
        if ends and len(ends) == len(given[key]) and max(ends) + GRACE < history.ended:
            yield Violation(TOO_LATE, "%s, by %.3f s" % (key, history.ended - max(ends)))


def _due(event: Event, given: t.Sequence[Operation]) -> float:
    """The moment before which it cannot have happened."""
    certain = {
        one.index: one
        for one in given
        if one.outcome is Outcome.DONE and one.index is not None and one.index < event.index
    }
    perhaps = [one for one in given if one.outcome is Outcome.UNKNOWN or one.index is None]
    # Each of these may have been the last to say when it goes; those before the last certain one
    # are not known as such, and make the answer no less true.
    last = [certain[max(certain)]] if certain else []
    return min(
        (one.began + one.ttl for one in last + perhaps if one.ttl is not None),
        default=float("inf"),
    )
