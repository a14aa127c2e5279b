# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding what a member of the cluster needs: pure, no network, no clock.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass

from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey


@dataclass(frozen=True)
class Wish:
    """What a task says of a member.

    Attributes:
        present: whether it is to be in the cluster.
        number: its id as a number; ids are compared as such, because the server writes them in
            hexadecimal without leading zeros.
        peer_urls: in the form of `_endpoints.parse_peer_url`; empty where the task names none.
    """

    present: bool
    name: t.Optional[str] = None
    number: t.Optional[int] = None
    peer_urls: t.FrozenSet[str] = frozenset()


class MemberActionKind(enum.Enum):
    """The changes to a cluster that there are."""

    NOTHING = "nothing"
    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"


@dataclass(frozen=True)
class MemberAction:
    """One change to the cluster; `member` is the one that was found, if one was."""

    kind: MemberActionKind
    member: t.Optional[Member] = None
    peer_urls: t.FrozenSet[str] = frozenset()

    @property
    def changes(self) -> bool:
        return self.kind is not MemberActionKind.NOTHING


def find(members: t.Sequence[Member], wish: Wish) -> t.Optional[Member]:
    """The member that a wish means: by all its peer URLs, else by its name, else by its id.

    The members' own URLs must be in the form of `_endpoints.parse_peer_url`.
    """
    for member in members:
        if wish.peer_urls and frozenset(member.peer_urls) == wish.peer_urls:
            return member
    for member in members:
        if wish.name is not None and member.name == wish.name:
            return member
    for member in members:
        if wish.number is not None and int(member.id, 16) == wish.number:
            return member
    return None


def plan(members: t.Sequence[Member], wish: Wish) -> MemberAction:
    """What to change so that the cluster is as wished.

    Raises:
        Refusal: a member is to be added and the task names no peer URLs; or one of them belongs
            to another member; or a member is to be removed and the task names only some of its
            peer URLs, or others with them, and no name or id that finds it.
    """
    member = find(members, wish)
    if not wish.present:
        _refuse_part_of(members, member, wish)
        kind = MemberActionKind.NOTHING if member is None else MemberActionKind.REMOVE
        return MemberAction(kind, member)
    if member is not None and wish.peer_urls in (
        frozenset(),
        frozenset(member.peer_urls),
    ):
        return MemberAction(MemberActionKind.NOTHING, member, frozenset(member.peer_urls))
    for other in members:
        shared = wish.peer_urls.intersection(other.peer_urls)
        if shared and other is not member:
            raise Refusal(
                "the peer URL %s belongs to the member %s; name all peer URLs of a member, or remove"
                " that one first" % (sorted(shared)[0], other.name or other.id)
            )
    if member is not None:
        return MemberAction(MemberActionKind.UPDATE, member, wish.peer_urls)
    if not wish.peer_urls:
        raise Refusal(
            "there is no member %s, and without peer_urls none can be added"
            % (wish.name if wish.name is not None else "with the id %x" % (wish.number or 0))
        )
    return MemberAction(MemberActionKind.ADD, None, wish.peer_urls)


def _refuse_part_of(members: t.Sequence[Member], found: t.Optional[Member], wish: Wish) -> None:
    """Not to call a member absent that has one of the peer URLs, nor to remove it on a guess."""
    for member in members:
        if member is not found and wish.peer_urls.intersection(member.peer_urls):
            raise Refusal(
                "peer_urls names %s, which belongs to the member %s, whose peer URLs are %s; to remove"
                " that one, give exactly these, or its name or id without peer_urls"
                % (
                    sorted(wish.peer_urls.intersection(member.peer_urls))[0],
                    member.name or member.id,
                    ", ".join(sorted(member.peer_urls)),
                )
            )


def objection(
    members: t.Sequence[Member], healthy: t.AbstractSet[str], action: MemberAction
) -> t.Optional[str]:
    """Why a change would leave the cluster without a quorum; None: it would not.

    Args:
        healthy: ids of the members that have just said that they are healthy.
    """
    if action.kind not in (MemberActionKind.ADD, MemberActionKind.REMOVE):
        return None
    if action.kind is MemberActionKind.ADD:
        left = len(healthy)
        size = len(members) + 1
        if len(members) == 1:
            return (
                "adding a member to a cluster of one stops it: two members need both of them, so"
                " that nothing can be written, and the addition not be undone, until the new one"
                " has started"
            )
    else:
        left = len(healthy - {action.member.id} if action.member is not None else healthy)
        size = len(members) - 1
        if size == 0:
            return "this is the only member of the cluster; removing it would end the cluster"
    needed = size // 2 + 1
    if left >= needed:
        return None
    return (
        "after this change the cluster would have %d members and need %d of them, and %d are"
        " started and healthy" % (size, needed, left)
    )


def ailments(members: t.Sequence[Member], surveys: t.Mapping[str, Survey]) -> t.List[str]:
    """Of each member that does not count as healthy, why.

    Args:
        surveys: member id -> what it said, of all that have started.
    """
    found = []
    for member in members:
        survey = surveys.get(member.id)
        if survey is None:
            found.append("the member %s has not started" % (member.name or member.id))
        elif survey.healthy is False:
            found.append("the member %s is not healthy (%s)" % (member.name, survey.reason))
    return found + not_asked(members, surveys)


def not_asked(members: t.Sequence[Member], surveys: t.Mapping[str, Survey]) -> t.List[str]:
    """Which members could not be asked for their health, and why."""
    return [
        "the member %s could not be asked for its health (%s)" % (member.name, survey.reason)
        for member, survey in ((member, surveys.get(member.id)) for member in members)
        if survey is not None and survey.healthy is None
    ]


def likely_reason(members: t.Sequence[Member], healthy: t.AbstractSet[str]) -> str:
    """Why a server may refuse a change with no reason given, from what can be seen."""
    waiting = [member.id for member in members if not member.started]
    ill = [member.name for member in members if member.started and member.id not in healthy]
    reasons = []
    if waiting:
        reasons.append("the member %s was added and has not started" % ", ".join(waiting))
    if ill:
        reasons.append("the member %s is not healthy" % ", ".join(sorted(ill)))
    if not reasons:
        reasons.append(
            "all members are healthy; the members may have been connected for less than 5 seconds,"
            " or a member with the same peer URLs was removed within the same second"
        )
    return " and ".join(reasons)


def initial_cluster(
    members: t.Sequence[Member], member: t.Optional[Member], name: t.Optional[str]
) -> str:
    """What the configuration of a new member says of the cluster: ``name=URL,...``.

    A member that has not started has no name in the list: the one that is meant has the task's,
    another one its id.
    """
    pairs = []
    for one in sorted(members, key=lambda one: (one.name, one.id)):
        known = one.name or (name if member is not None and one.id == member.id else None) or one.id
        pairs += ["%s=%s" % (known, url) for url in sorted(one.peer_urls)]
    return ",".join(pairs)
