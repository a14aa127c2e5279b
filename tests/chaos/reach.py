# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether somebody gave up who could have found out what became of a write. Pure.

The cluster can be asked while others get their answers. When exactly somebody gave up is not known,
only when that was noted, which a busy machine does late. So others must have had answers all along.
"""

from __future__ import annotations

import bisect
import typing as t

from .history import Kind, Operation, Outcome, Violation

IN_REACH = "an outcome is unknown although the cluster could have been asked"

#: Seconds before its end in which an operation gave up.
_BEFORE = 5.0

#: Seconds from one answer to the next, and from a question to its answer. An outage lasts longer
#: than both together.
_GAP = 0.3
_QUICK = 0.1

#: Events that a server remembers, less some for those that nobody was told of.
_REMEMBERED = 900


def check(
    operations: t.Sequence[Operation], index_before: t.Callable[[float], int]
) -> t.Iterator[Violation]:
    """Each operation that was given up although others were answered all the time.

    Unless so much had happened meanwhile that no server remembers.

    Args:
        index_before: the highest index that anybody knew of at a moment.
    """
    answers = sorted(
        one.ended
        for one in operations
        if one.kind is Kind.READ and one.outcome is Outcome.DONE
        if one.ended - one.began <= _QUICK
    )
    for one in operations:
        if one.outcome is Outcome.UNKNOWN and one.settles:
            since = max(one.began, one.ended - _BEFORE)
            happened = index_before(one.ended) - index_before(one.began)
            if happened < _REMEMBERED and _all_along(answers, since, one.ended):
                yield Violation(IN_REACH, str(one))


def _all_along(answers: t.Sequence[float], since: float, until: float) -> bool:
    """Whether there was an answer again and again from one moment to another."""
    first = max(bisect.bisect_right(answers, since) - 1, 0)
    last = bisect.bisect_left(answers, until)
    seen = answers[first : last + 1]
    if not seen or seen[0] > since + _GAP or seen[-1] < until:
        return False
    return all(later - earlier <= _GAP for earlier, later in zip(seen, seen[1:]))
