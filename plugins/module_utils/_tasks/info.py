# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_info does.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _endpoints, errors
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey

#: What can be gathered, and what each adds to an endpoint's entry.
SUBSETS = {
    "version": ("version", "cluster_version"),
    "health": ("healthy", "etcd_index", "raft_index", "raft_term"),
    "members": ("member_id", "name"),
    "leader": ("is_leader",),
    "stats": (),
    "auth": ("auth_enabled",),
    "keys": (),
}  # type: t.Dict[str, t.Tuple[str, ...]]

_ALWAYS = ("reachable", "reason", "latency", "v2_served", "cluster_id")

#: What each endpoint is asked in any case, and what for a subset besides.
_ASKED = ("self", "version", "members", "leader", "health")
_ASKED_FOR = {
    "health": ("index",),
    "auth": ("auth",),
    "keys": ("index", "auth"),
}  # type: t.Dict[str, t.Tuple[str, ...]]


def gather_info(
    options: t.Mapping[str, t.Any], connect: t.Callable[[], t.Any], *, apply: bool
) -> t.Dict[str, t.Any]:
    """Read what the endpoints and the cluster say of themselves; nothing is ever written.

    Raises:
        errors.EtcdUnreachable: none of the endpoints answers.
    """
    client = connect()
    gather = options["gather"]
    more = [question for subset in gather for question in _ASKED_FOR.get(subset, ())]
    surveys = client.survey(ask=(*_ASKED, *more))
    if not any(survey.reachable for survey in surveys):
        raise errors.EtcdUnreachable(
            "none of the endpoints answers",
            errors=[(survey.endpoint, survey.reason or "") for survey in surveys],
        )
    report = {
        "changed": False,
        "endpoints": [_entry(survey, gather) for survey in surveys],
        "cluster_ids": _distinct(survey.cluster_id for survey in surveys),
        "warnings": [],
    }  # type: t.Dict[str, t.Any]
    if len(report["cluster_ids"]) > 1:
        report["warnings"].append(
            "the endpoints belong to different clusters, with the ids %s"
            % ", ".join(report["cluster_ids"])
        )
    # What the leader says is never out of date; without one, what the first that answers says.
    telling = sorted(
        (survey for survey in surveys if survey.v2_served), key=lambda one: not one.is_leader
    )
    if "version" in gather:
        report["versions"] = _distinct(survey.version for survey in surveys)
    if "auth" in gather:
        report["auth_enabled"] = _first(survey.auth_enabled for survey in surveys)
    report["members"], report["leader"], report["quorum"] = None, None, None
    report["stats"], report["root_keys"] = None, None
    members = _first(survey.members for survey in telling)
    if members is not None and {"members", "leader", "health"}.intersection(gather):
        _add_members(report, members, surveys)
    if telling and "stats" in gather:
        report["stats"] = _stats(client, telling[0])
    if "keys" in gather:
        keys = _first(survey.keys for survey in telling)
        if keys is not None:
            report["root_keys"] = list(keys)
        elif any(survey.auth_enabled for survey in telling):
            report["warnings"].append(_why_no_keys(client))
    return report


def _entry(survey: Survey, gather: t.Sequence[str]) -> t.Dict[str, t.Any]:
    names = _ALWAYS + tuple(name for subset in gather for name in SUBSETS[subset])
    entry = {name: getattr(survey, name) for name in names}
    return dict(entry, endpoint=survey.endpoint)


def _distinct(values: t.Iterable[t.Optional[str]]) -> t.List[str]:
    return sorted({value for value in values if value is not None})


def _first(values: t.Iterable[t.Any]) -> t.Any:
    return next((value for value in values if value is not None), None)


def _why_no_keys(client: t.Any) -> str:
    try:
        client.read("/")
    except errors.EtcdException as exc:
        return "the keys could not be read: %s" % exc
    return "the keys could not be read the first time"


def _add_members(
    report: t.Dict[str, t.Any], members: t.Sequence[Member], surveys: t.Sequence[Survey]
) -> None:
    leaders = _distinct(survey.leader_id for survey in surveys)
    leader = next((member for member in members if member.id in leaders), None)
    report["members"] = [
        dict(_member(member), healthy=_healthy(member, surveys))
        for member in sorted(members, key=lambda member: (member.name, member.id))
    ]
    report["leader"] = None if leader is None else _member(leader)
    report["quorum"] = {
        "size": len(members),
        "needed": len(members) // 2 + 1,
        "healthy": sum(1 for member in report["members"] if member["healthy"]),
    }


def _healthy(member: Member, surveys: t.Sequence[Survey]) -> t.Optional[bool]:
    """Whether the member says that it is healthy; None if it was not asked or did not answer."""
    urls = [one.url for one in map(_endpoints.parse_url, member.client_urls) if one is not None]
    said = [
        survey.healthy
        for survey in surveys
        if survey.healthy is not None and (survey.member_id == member.id or survey.endpoint in urls)
    ]
    return any(said) if said else None


def _member(member: Member) -> t.Dict[str, t.Any]:
    return {
        "id": member.id,
        "name": member.name,
        "peer_urls": sorted(member.peer_urls),
        "client_urls": sorted(member.client_urls),
        "started": member.started,
    }


def _stats(client: t.Any, telling: Survey) -> t.Dict[str, t.Any]:
    """Statistics of the leader, if it is among the endpoints that answer, or else of another one.

    No endpoint is asked that has not answered just now: it may be one that is silent.
    """
    leader = None
    if telling.is_leader:
        # It may have stepped down since.
        with contextlib.suppress(errors.EtcdNotLeader, errors.EtcdServerError):
            leader = client.stats_leader(telling.endpoint).body
    return {
        "self": client.stats_self(telling.endpoint).body,
        "store": client.stats_store(telling.endpoint).body,
        "leader": leader,
    }
