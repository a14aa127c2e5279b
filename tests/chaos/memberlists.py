# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the servers list the members that tasks said they would have. Pure."""

from __future__ import annotations

import typing as t

from .history import MemberChange, MemberList, Outcome, Violation

WRONG_LIST = "a member list is not what the reported changes lead to"
WRONG_REPORT = "what was reported of a member does not fit what was there"
LISTED_TWICE = "a member is listed twice"


def check(happened: t.Sequence[t.Union[MemberChange, MemberList]]) -> t.Iterator[Violation]:
    """Follow all of it, from the first list on."""
    known = None  # type: t.Optional[t.Set[str]]
    # Members that may still come or go, since nothing is known of the last change.
    open_ = set()  # type: t.Set[str]
    for one in happened:
        if isinstance(one, MemberList):
            shown = set(one.peer_urls)
            if len(shown) < len(one.peer_urls):
                yield Violation(LISTED_TWICE, str(one))
            different = shown if known is None else shown ^ known
            if known is not None and different - open_:
                yield Violation(WRONG_LIST, "%s, not %s" % (one, sorted(known)))
            known = shown
            open_ -= different
        elif known is not None and one.outcome is Outcome.UNKNOWN:
            if one.present != (one.peer_url in known):
                open_.add(one.peer_url)
        elif known is not None and one.outcome in (Outcome.DONE, Outcome.UNCHANGED):
            was_so = one.present == (one.peer_url in known)
            if was_so != (one.outcome is Outcome.UNCHANGED) and one.peer_url not in open_:
                yield Violation(WRONG_REPORT, str(one))
            if not was_so:
                known ^= {one.peer_url}
            open_.discard(one.peer_url)
