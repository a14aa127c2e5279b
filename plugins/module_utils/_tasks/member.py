# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_member does.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import contextlib
import re
import time
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _endpoints, _limits, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._plan import member as member_plan
from ansible_collections.quorum.etcd.plugins.module_utils._plan.member import (
    MemberAction,
    MemberActionKind,
)
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey

#: Seconds between two looks at the cluster.
PAUSE = 1.0

#: A key that need not exist: a quorum read of it makes sure that the member that answers has
#: caught up, since the member list is a local answer.
_CATCH_UP_KEY = "/_quorum.etcd"

#: Answers that say that the change is not ours: 409, 404 and 410.
_SOMEBODY_ELSE = (errors.EtcdMemberExists, errors.EtcdMemberNotFound, errors.EtcdMemberRemoved)

#: Looks at the cluster before a change; returns warnings, or raises Refusal.
Guard = t.Callable[[t.Any, t.Sequence[Member], MemberAction], t.List[str]]

_NO_QUORUM = (errors.EtcdRaftInternal, errors.EtcdServerError, errors.EtcdTimeout)


def manage_member(
    options: t.Mapping[str, t.Any],
    connect: t.Callable[[], t.Any],
    *,
    apply: bool,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> t.Dict[str, t.Any]:
    """Bring a member into the cluster or out of it, and say what changed.

    Args:
        connect: makes the client; called once the options have been found right.
        apply: False to find out only.
        clock: seconds, monotonic.
        sleep: waits for seconds.

    Raises:
        Refusal: the change would cost the quorum, or the options do not fit the cluster.
        Incomplete: the member was added and did not become healthy in time.
        errors.EtcdException: the server refused, to the end of the budget.
    """
    for name in ("retry_timeout", "wait_timeout"):
        _limits.seconds(options[name], name, or_none=True)
    wish = _wish(options)
    client = connect()
    before = _members(client)
    action, warnings = _planned(before, wish, apply=apply)
    if action.kind is MemberActionKind.REMOVE and action.member is not None:
        wish = member_plan.only(action.member, wish)
    unfit = member_plan.unfit(before)
    starts = action.changes if action.member is None else not action.member.started
    if unfit and wish.present and starts:
        raise Refusal(
            "the member could not be configured: %s must not get into a configuration, where"
            " only letters and digits of ASCII, dots, underscores and hyphens are safe; give that"
            " member another one first" % " and ".join(unfit)
        )
    guard = (lambda *unused: []) if options["force"] else _guard_quorum  # type: Guard
    warnings += guard(client, before, action)
    after = before
    if action.changes and apply:
        deadline = clock() + options["retry_timeout"]
        action, after = _change(client, wish, before, guard, lambda: clock() < deadline, sleep)
        if not action.changes:
            before = after
    member = member_plan.find(after, wish)
    if member is not None and apply and wish.present and options["wait"]:
        deadline = clock() + options["wait_timeout"]
        wish = member_plan.only(member, wish)
        after, member = _wait(client, wish, action, lambda: clock() < deadline, sleep)
    report = _report(action, before, after, member, options["name"])
    report["warnings"] += warnings
    return report


def _planned(
    members: t.Sequence[Member], wish: member_plan.Wish, *, apply: bool
) -> t.Tuple[MemberAction, t.List[str]]:
    """The plan, and in check mode a warning of a member that an earlier task would have added."""
    try:
        return member_plan.plan(members, wish), []
    except member_plan.Missing as exc:
        if apply:
            raise
        warning = "%s (this fails without check mode, unless an earlier task of the play adds it)"
        return MemberAction(MemberActionKind.NOTHING), [warning % exc]


def _wish(options: t.Mapping[str, t.Any]) -> member_plan.Wish:
    if options["id"] is None and options["name"] is None and not options["peer_urls"]:
        raise Refusal("nothing says which member is meant; give peer_urls, name or id")
    if options["state"] == "present" and member_plan.unfit_name(options["name"] or "x"):
        raise Refusal(
            "a name that gets into the configuration of a member has no other characters than letters"
            " and digits of ASCII, dots, underscores and hyphens; give another than %r, or mean the"
            " member by its id" % options["name"]
        )
    number = None
    if options["id"] is not None:
        if not re.fullmatch("[0-9A-Fa-f]+", options["id"]):
            raise Refusal(
                "id is the member's id in hexadecimal, such as 8e9e05c52164694d, not %r"
                % options["id"]
            )
        number = int(options["id"], 16)
    urls = frozenset(_endpoints.parse_peer_url(url) for url in options["peer_urls"] or ())
    for url in urls:
        if options["state"] == "present" and member_plan.unfit_url(url):
            raise Refusal(
                "a peer URL that gets into the configuration of a member has no other characters in"
                " its host than letters and digits of ASCII, dots, underscores and hyphens, unlike %s"
                % url
            )
    return member_plan.Wish(
        present=options["state"] == "present",
        name=options["name"] or None,
        number=number,
        peer_urls=urls,
    )


def _members(client: t.Any) -> t.Tuple[Member, ...]:
    """The members, as a member knows them that has caught up with the cluster if it has a quorum."""
    with contextlib.suppress(errors.EtcdKeyNotFound, errors.EtcdUnauthorized, *_NO_QUORUM):
        client.read(_CATCH_UP_KEY, quorum=True)
    return _listed(client)


def _listed(client: t.Any) -> t.Tuple[Member, ...]:
    return tuple(
        member._replace(peer_urls=tuple(_as_compared(url) for url in member.peer_urls))
        for member in client.members()
    )


def _as_compared(url: str) -> str:
    """The one form of a peer URL; one that is none of http or https stays as it is."""
    endpoint = _endpoints.parse_url(url, port=2380)
    return url if endpoint is None else endpoint.url


def _health(client: t.Any, members: t.Sequence[Member]) -> t.Dict[str, Survey]:
    """What each member that has started says of its health, or why it could not be asked."""
    return client.survey_members([member for member in members if member.started])  # type: ignore[no-any-return]


def _healthy(surveys: t.Mapping[str, Survey]) -> t.Set[str]:
    """Ids of the members that say that they are healthy."""
    return {member_id for member_id, survey in surveys.items() if survey.healthy}


def _guard_quorum(client: t.Any, members: t.Sequence[Member], action: MemberAction) -> t.List[str]:
    """Refuse a change that would cost the quorum; warn of members that could not be asked.

    Whether a member that is to go answers does not matter.
    """
    if not action.changes:
        return []
    surveys = _health(client, members)
    objection = member_plan.objection(members, _healthy(surveys), action)
    if objection is not None:
        raise Refusal(
            "refused: %s"
            % "; ".join(
                [objection, *member_plan.ailments(members, surveys)]
                + ["force: true does it all the same"]
            )
        )
    others = [member for member in members if member != action.member]
    return member_plan.not_asked(others, surveys)


def _change(
    client: t.Any,
    wish: member_plan.Wish,
    members: t.Tuple[Member, ...],
    guard: Guard,
    in_time: t.Callable[[], bool],
    sleep: t.Callable[[float], None],
) -> t.Tuple[MemberAction, t.Tuple[Member, ...]]:
    """Make the change, again while the server refuses it without a reason.

    Returns:
        What was done, which is nothing where somebody else was faster, and the members after it.

    Raises:
        errors.EtcdOutcomeUnknown: it may have been made, and the cluster cannot be asked.
    """
    action = member_plan.plan(members, wish)
    done = None  # type: t.Optional[MemberAction]
    while True:
        try:
            refused = _refusal(client, action)
            if not isinstance(refused, _SOMEBODY_ELSE):
                # Also after a 500, which says nothing: not even that it was not carried out.
                done = action
            if refused is None:
                members = _members_after(client, wish, action, members)
            else:
                members = client.until_answered(lambda: _members(client))
        except errors.EtcdException as exc:
            if done is None:
                raise
            raise errors.EtcdOutcomeUnknown(
                "the change may have been made, and what followed failed: %s" % exc
            ) from exc
        following = member_plan.plan(members, wish)
        if not following.changes:
            return done or following, members
        if not in_time():
            if refused is None:
                raise errors.EtcdConflict("the cluster accepted the change and does not show it")
            reason = member_plan.likely_reason(members, _healthy(_health(client, members)))
            refused.message += " (the likely reason: %s)" % reason
            raise refused
        if following.kind is not action.kind:
            # The member came, or went, meanwhile: this is another change than the one looked at.
            guard(client, members, following)
        action = following
        sleep(PAUSE)


def _refusal(client: t.Any, action: MemberAction) -> t.Optional[errors.EtcdException]:
    """Send the change; None if it was accepted, else what may still leave things as wished."""
    try:
        _send(client, action)
    except (errors.EtcdMemberError, errors.EtcdOutcomeUnknown) as exc:
        return exc
    return None


def _members_after(
    client: t.Any, wish: member_plan.Wish, action: MemberAction, before: t.Sequence[Member]
) -> t.Tuple[Member, ...]:
    """The members after a change that was accepted.

    The member that accepted it shows it at once, and after a forced change there may be no quorum.
    """
    try:
        members = _listed(client)
    except errors.EtcdUnreachable:
        if action.kind is not MemberActionKind.REMOVE:
            raise
        # A member that was removed ends, and may have been the only one that was asked.
        return tuple(one for one in before if one != action.member)
    return _members(client) if member_plan.plan(members, wish).changes else members


def _send(client: t.Any, action: MemberAction) -> None:
    if action.kind is MemberActionKind.ADD:
        client.add_member(sorted(action.peer_urls))
    elif action.member is not None and action.kind is MemberActionKind.UPDATE:
        client.update_member(action.member.id, sorted(action.peer_urls))
    elif action.member is not None:
        client.remove_member(action.member.id)


def _wait(
    client: t.Any,
    wish: member_plan.Wish,
    action: MemberAction,
    in_time: t.Callable[[], bool],
    sleep: t.Callable[[float], None],
) -> t.Tuple[t.Tuple[Member, ...], Member]:
    """Wait until the member has started and says that it is healthy."""
    while True:
        members = _listed(client)
        member = member_plan.find(members, wish)
        if member is None:
            raise Incomplete(
                "the member is no longer in the cluster: somebody else removed it",
                changed=action.changes,
            )
        surveys = _health(client, [member])
        if _healthy(surveys):
            return members, member
        if not in_time():
            raise Incomplete(
                "the member %s is in the cluster, and %s in time"
                % (
                    member.name or member.id,
                    "did not become healthy (%s)" % surveys[member.id].reason
                    if member.started
                    else "did not start",
                ),
                changed=action.changes,
            )
        sleep(PAUSE)


def _report(
    action: MemberAction,
    before: t.Sequence[Member],
    after: t.Sequence[Member],
    member: t.Optional[Member],
    name: t.Optional[str],
) -> t.Dict[str, t.Any]:
    removed = action.kind is MemberActionKind.REMOVE
    if member is None and action.kind is MemberActionKind.ADD:
        # In check mode: what it will be, but for the id that the server chooses.
        member = Member("", "", tuple(sorted(action.peer_urls)), ())
        after = (*before, member)
    elif member is not None and action.kind is MemberActionKind.UPDATE:
        updated = member._replace(peer_urls=tuple(sorted(action.peer_urls)))
        after = tuple(updated if one.id == member.id else one for one in after)
        member = updated
    elif removed:
        member = action.member
        after = tuple(one for one in after if member is None or one.id != member.id)
    known = (member.name if member is not None else "") or name
    cluster = member_plan.initial_cluster(after, member, known)
    unfit = member_plan.unfit(after)
    report = {
        "changed": action.changes,
        "action": action.kind.value,
        "member": None if member is None else _shown(member),
        "members": [_shown(one) for one in sorted(after, key=lambda one: (one.name, one.id))],
        "initial_cluster": None if unfit else cluster,
        "initial_cluster_state": "existing",
        "environment": None,
        "warnings": [],
        "diff": {
            "before": _diff(action.member),
            "after": {} if removed or member is None else _diff(member),
        },
    }  # type: t.Dict[str, t.Any]
    if unfit:
        report["warnings"].append(
            "initial_cluster and environment are not returned, because %s must not get into a"
            " configuration" % " and ".join(unfit)
        )
    elif member is not None and not removed:
        report["environment"] = {
            "ETCD_NAME": known or member.id,
            "ETCD_INITIAL_ADVERTISE_PEER_URLS": ",".join(sorted(member.peer_urls)),
            "ETCD_INITIAL_CLUSTER": cluster,
            "ETCD_INITIAL_CLUSTER_STATE": "existing",
        }
    return report


def _shown(member: Member) -> t.Dict[str, t.Any]:
    return {
        "id": member.id or None,
        "id_decimal": str(int(member.id, 16)) if member.id else None,
        "name": member.name,
        "peer_urls": sorted(member.peer_urls),
        "client_urls": sorted(member.client_urls),
        "started": member.started,
    }


def _diff(member: t.Optional[Member]) -> t.Dict[str, t.Any]:
    if member is None:
        return {}
    return {"name": member.name, "peer_urls": sorted(member.peer_urls)}
