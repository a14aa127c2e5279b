# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_info does.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._results import Member, Survey

#: What can be gathered, and what each adds to an endpoint's entry.
SUBSETS = {
    "version": ("version", "cluster_version"),
    "health": ("healthy",),
    "members": ("member_id", "name"),
    "leader": ("is_leader",),
    "stats": ("etcd_index", "raft_index", "raft_term"),
    "auth": ("auth_enabled",),
    "keys": (),
}  # type: t.Dict[str, t.Tuple[str, ...]]

_ALWAYS = ("reachable", "reason", "latency", "v2_served", "cluster_id")


def gather_info(
    options: t.Mapping[str, t.Any], connect: t.Callable[[], t.Any], *, apply: bool
) -> t.Dict[str, t.Any]:
    """Read what the endpoints and the cluster say of themselves; nothing is ever written.

    Raises:
        errors.EtcdUnreachable: none of the endpoints answers.
    """
    client = connect()
    surveys = client.survey()
    if not any(survey.reachable for survey in surveys):
        raise errors.EtcdUnreachable(
            "none of the endpoints answers",
            errors=[(survey.endpoint, survey.reason or "") for survey in surveys],
        )
    gather = options["gather"]
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
    served = any(survey.v2_served for survey in surveys)
    if "version" in gather:
        report["versions"] = _distinct(survey.version for survey in surveys)
    if "auth" in gather:
        report["auth_enabled"] = next(
            (survey.auth_enabled for survey in surveys if survey.auth_enabled is not None), None
        )
    report["members"], report["leader"], report["quorum"] = None, None, None
    report["stats"], report["keys"] = None, None
    if served and {"members", "leader", "health"}.intersection(gather):
        _add_members(report, client, surveys)
    if served and "stats" in gather:
        report["stats"] = _stats(client)
    if served and "keys" in gather:
        try:
            report["keys"] = sorted(node.key for node in client.read("/").node.nodes)
        except errors.EtcdUnauthorized as exc:
            report["warnings"].append("the keys could not be read: %s" % exc)
    return report


def _entry(survey: Survey, gather: t.Sequence[str]) -> t.Dict[str, t.Any]:
    names = _ALWAYS + tuple(name for subset in gather for name in SUBSETS[subset])
    entry = {name: getattr(survey, name) for name in names}
    return dict(entry, endpoint=survey.endpoint)


def _distinct(values: t.Iterable[t.Optional[str]]) -> t.List[str]:
    return sorted({value for value in values if value is not None})


def _add_members(report: t.Dict[str, t.Any], client: t.Any, surveys: t.Sequence[Survey]) -> None:
    members = client.members()  # type: t.Sequence[Member]
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
    said = [
        survey.healthy
        for survey in surveys
        if survey.healthy is not None
        and (survey.member_id == member.id or survey.endpoint in member.client_urls)
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


def _stats(client: t.Any) -> t.Dict[str, t.Any]:
    try:
        leader = client.stats_leader().body
    except (errors.EtcdNotLeader, errors.EtcdServerError):
        leader = None
    return {
        "self": client.stats_self().body,
        "store": client.stats_store().body,
        "leader": leader,
    }
