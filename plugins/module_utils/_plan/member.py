# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding what a member of the cluster needs: pure, no network, no clock.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import enum
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey

#: What a name may hold that gets into a configuration, and what a URL: nothing that a shell, systemd
#: or etcd's own list of members could take for something else.
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_URL = re.compile(r"[a-z]+://[A-Za-z0-9._:%\[\]-]+")


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


class Missing(Refusal):
    """There is no such member, and nothing to add it with; an earlier task of a play may add it."""


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
    """The one member that everything in a wish means; None: there is no such member.

    A member that has not started has no name, and is meant by any that is nobody else's. Peer URLs
    mean the member that has exactly these; a wish for a member to be present may also name new ones,
    and one for it to be absent some of those of a member that its name or id finds.

    The members' own URLs must be in the form of `_endpoints.parse_peer_url`.

    Raises:
        Refusal: several members are meant, or not all that is in the wish means the same one.
    """
    meant = _meant(members, wish)
    found = [member for member in members if any(member in those for unused, those in meant)]
    named = any(member.name == wish.name for member in members)

    def fits(member: Member) -> bool:
        return all(
            member in those or (what == "name" and not member.started and not named)
            for what, those in meant
        )

    fitting = [member for member in found if fits(member)]
    if len(fitting) == 1 or not found:
        return fitting[0] if fitting else None
    raise Refusal(
        "it is not clear which member is meant: %s; all that is given must mean the same one member,"
        " so correct it, leave out what is wrong, or add its id"
        % "; ".join(_in_words(wish, what, those) for what, those in meant),
        error=errors.ClientException,
    )


def only(member: Member, wish: Wish) -> Wish:
    """The wish for the member that was found, which is known by its id from now on.

    Another one of the same name, or with the same peer URLs, is not meant.
    """
    return Wish(wish.present, number=int(member.id, 16))


def _meant(members: t.Sequence[Member], wish: Wish) -> t.List[t.Tuple[str, t.List[Member]]]:
    """Which members each part of a wish means by itself."""
    meant = []
    if wish.name is not None:
        meant.append(("name", [one for one in members if one.name == wish.name]))
    if wish.number is not None:
        meant.append(("id", [one for one in members if int(one.id, 16) == wish.number]))
    urls = [one for one in members if wish.peer_urls == frozenset(one.peer_urls)]
    if not urls and not wish.present and meant:
        urls = [one for one in members if wish.peer_urls.issubset(one.peer_urls)]
    if wish.peer_urls and (urls or not wish.present):
        meant.append(("peer_urls", urls))
    return meant


def _in_words(wish: Wish, what: str, those: t.Sequence[Member]) -> str:
    given = {
        "name": wish.name,
        "id": "%x" % (wish.number or 0),
        "peer_urls": ", ".join(sorted(wish.peer_urls)),
    }[what]
    return "%s %s means %s" % (
        what,
        given,
        " and ".join(
            "the member %s (id %s, peer URLs %s)"
            % (one.name or "that has not started", one.id, ", ".join(sorted(one.peer_urls)))
            for one in those
        )
        or "none",
    )


def plan(members: t.Sequence[Member], wish: Wish) -> MemberAction:
    """What to change so that the cluster is as wished.

    Raises:
        Refusal: as `find`; or a member is to be added and the task names no peer URLs, or an id; or
            one of the peer URLs belongs to another member; or a member is to be removed and the
            task names only some of its peer URLs, or others with them, and no name or id.
    """
    member = find(members, wish)
    if not wish.present:
        if member is None:
            _refuse_part_of(members, wish)
            return MemberAction(MemberActionKind.NOTHING)
        return MemberAction(MemberActionKind.REMOVE, member)
    if member is not None and wish.peer_urls in (frozenset(), frozenset(member.peer_urls)):
        return MemberAction(MemberActionKind.NOTHING, member, frozenset(member.peer_urls))
    for other in members:
        shared = wish.peer_urls.intersection(other.peer_urls)
        if shared and other is not member:
            raise Refusal(
                "the peer URL %s belongs to the member %s; name all peer URLs of a member, or remove"
                " that one first" % (sorted(shared)[0], other.name or other.id),
                error=errors.EtcdMemberExists,
            )
    if member is not None:
        return MemberAction(MemberActionKind.UPDATE, member, wish.peer_urls)
    if wish.number is not None:
        raise Refusal(
            "there is no member with the id %x; leave id out to add one, which gets its id from the"
            " server" % wish.number,
            error=errors.EtcdMemberNotFound,
        )
    if not wish.peer_urls:
        raise Missing(
            "there is no member %s, and without peer_urls none can be added" % wish.name,
            error=errors.EtcdMemberNotFound,
        )
    return MemberAction(MemberActionKind.ADD, None, wish.peer_urls)


def _refuse_part_of(members: t.Sequence[Member], wish: Wish) -> None:
    """Not to call a member absent that has one of the peer URLs."""
    for member in members:
        if wish.peer_urls.intersection(member.peer_urls):
            raise Refusal(
                "peer_urls names %s, which belongs to the member %s, whose peer URLs are %s; to remove"
                " that one, give exactly these, or its name or id without peer_urls"
                % (
                    sorted(wish.peer_urls.intersection(member.peer_urls))[0],
                    member.name or member.id,
                    ", ".join(sorted(member.peer_urls)),
                ),
                error=errors.EtcdMemberExists,
            )


def objection(
    members: t.Sequence[Member], healthy: t.AbstractSet[str], action: MemberAction
) -> t.Optional[str]:
    """Why a change would leave the cluster without a quorum; None: it would not.

    Args:
        healthy: ids of the members that have just said that they are healthy.
    """
    if action.kind is MemberActionKind.NOTHING:
        return None
    if action.kind is MemberActionKind.UPDATE:
        return _objection_to_moving(members, healthy, action.member)
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


def _objection_to_moving(
    members: t.Sequence[Member], healthy: t.AbstractSet[str], moving: t.Optional[Member]
) -> t.Optional[str]:
    """The others look for a member at its new peer URLs, where it is once it has been restarted."""
    if moving is None or moving.id not in healthy or len(members) == 1:
        return None
    left, needed = len(healthy) - 1, len(members) // 2 + 1
    if left >= needed:
        return None
    return (
        "until the member %s has been started with its new peer URLs, %d of %d members are healthy,"
        " and %d are needed" % (moving.name, left, len(members), needed)
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


def unfit_name(name: str) -> bool:
    """Whether a name must not get into a configuration."""
    return _NAME.fullmatch(name) is None


def unfit_url(url: str) -> bool:
    """The same of a peer URL."""
    return _URL.fullmatch(url) is None


def unfit(members: t.Sequence[Member]) -> t.List[str]:
    """Which members must not get into the configuration of another one, and why.

    Names and URLs are what other members, or whoever started them, chose. They end up in files that
    are read by root.
    """
    found = []
    for member in members:
        if member.name and unfit_name(member.name):
            found.append("the name %r of the member %s" % (member.name, member.id))
        found += [
            "the peer URL %r of the member %s" % (url, member.id)
            for url in sorted(member.peer_urls)
            if unfit_url(url)
        ]
    return found


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
