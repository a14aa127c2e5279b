# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking every endpoint, or every member, what it says of itself.

PRIVATE to the collection: use it through client.py.

User name and password go to the client's own endpoints only. The URLs that a member list names are
asked without them, and not over http where the client's endpoints are https.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _endpoints, _wire, errors
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import Api, Endpoint, Request

#: What an endpoint can be asked, in this order: health last, because the server takes up to a
#: second to tell it, and then waits for its cluster.
QUESTIONS = ("self", "version", "members", "leader", "auth", "index", "health")

_Outcomes = t.Mapping[str, t.Tuple[t.Any, t.Optional[float]]]


class SurveyApi:
    """Surveys of endpoints and members."""

    _prefix: str
    _send_in_turn: t.Callable[
        [t.Sequence[t.Tuple[Endpoint, t.Sequence[Request]]]],
        t.Sequence[t.Sequence[t.Tuple[t.Any, t.Optional[float]]]],
    ]
    _all_endpoints: t.Callable[[], t.Sequence[Endpoint]]

    def survey(
        self,
        endpoints: t.Optional[t.Sequence[str]] = None,
        *,
        ask: t.Sequence[str] = QUESTIONS,
    ) -> t.Tuple[Survey, ...]:
        """What each endpoint says of itself, all asked at the same time, over one connection each.

        It takes no longer than one answer may take, however many endpoints are silent.

        Args:
            endpoints: URLs to ask, without credentials where they are not the client's own; None
                for those of this client.
            ask: names from `QUESTIONS`; what is not asked is None in the answer.

        Raises:
            errors.EtcdDiscoveryFailed: DNS discovery gave no endpoint.
        """
        if endpoints is None:
            return self._survey(self._all_endpoints(), ask)
        return self._survey(_endpoints.parse_all(endpoints), ask)

    def survey_members(
        self, members: t.Sequence[Member], *, ask: t.Sequence[str] = ("health",)
    ) -> t.Dict[str, Survey]:
        """What each of these members says of itself.

        The client's own endpoints are asked first, and tell by their member id whose they are.
        Members that are not among them are asked at the client URLs that they advertise.

        Args:
            ask: as in `survey`; who they are is always asked.

        Returns:
            Member id -> its survey. One that could not be asked is not `reachable`, and `reason`
            says why.

        Raises:
            errors.EtcdDiscoveryFailed: DNS discovery gave no endpoint.
        """
        ask = ("self", *ask)
        own = self._all_endpoints()
        asked = dict(zip(own, self._survey(own, ask)))
        found = {}  # type: t.Dict[str, Survey]
        for member in members:
            said = _best(member, asked.values())
            if said is not None:
                found[member.id] = said
        secure = all(endpoint.scheme == "https" for endpoint in own)
        others = {}  # type: t.Dict[str, t.List[t.Tuple[str, t.Optional[Endpoint]]]]
        for member in members:
            if member.id not in found:
                others[member.id] = [(url, _endpoints.parse_url(url)) for url in member.client_urls]
        allowed = {
            endpoint
            for urls in others.values()
            for unused, endpoint in urls
            if endpoint is not None and not (secure and endpoint.scheme == "http")
        }
        more = sorted(allowed - set(asked))
        asked.update(zip(more, self._survey(more, ask)))
        for member in members:
            if member.id in others:
                found[member.id] = _elsewhere(member, others[member.id], asked)
        return found

    def _survey(
        self, endpoints: t.Sequence[Endpoint], ask: t.Sequence[str]
    ) -> t.Tuple[Survey, ...]:
        names = [name for name in QUESTIONS if name in ask]
        requests = [self._question(name) for name in names]
        answers = self._send_in_turn([(endpoint, requests) for endpoint in endpoints])
        return tuple(
            _said(endpoint, dict(zip(names, outcomes)))
            for endpoint, outcomes in zip(endpoints, answers)
        )

    def _question(self, name: str) -> Request:
        if name == "index":
            return _wire.read_key(self._prefix, "/", {})
        api, path = _PATHS[name]
        return _wire.read_api(api, path if api is Api.SERVER else "/%s%s" % (self._prefix, path))


_PATHS = {
    "self": (Api.STATS, "/stats/self"),
    "version": (Api.SERVER, "/version"),
    "members": (Api.MEMBERS, "/members"),
    "leader": (Api.MEMBERS, "/members/leader"),
    "auth": (Api.AUTH, "/auth/enable"),
    "health": (Api.SERVER, "/health"),
}


def _best(member: Member, surveys: t.Iterable[Survey]) -> t.Optional[Survey]:
    """Of what endpoints said, what this member did; that it is healthy, if one of them did."""
    said = [
        survey
        for survey in surveys
        if survey.reachable
        and (
            survey.member_id == member.id
            or (survey.member_id is None and _advertises(member, survey.endpoint))
        )
    ]
    return max(said, key=lambda one: one.healthy is True) if said else None


def _advertises(member: Member, url: str) -> bool:
    return url in [one.url for one in map(_endpoints.parse_url, member.client_urls) if one]


def _elsewhere(
    member: Member,
    urls: t.Sequence[t.Tuple[str, t.Optional[Endpoint]]],
    asked: t.Mapping[Endpoint, Survey],
) -> Survey:
    """What a member said at the URLs that it advertises, or why it could not be asked."""
    said = _best(member, [asked[endpoint] for unused, endpoint in urls if endpoint in asked])
    if said is not None:
        return said
    if not urls:
        return Survey("", False, reason="it has not started, or advertises no client URL")
    reasons = []
    for url, endpoint in urls:
        if endpoint is None:
            reasons.append("%s is not a URL that can be asked" % url)
        elif endpoint not in asked:
            reasons.append("%s is http, and the endpoints are https, so it is not asked" % url)
        elif asked[endpoint].reachable:
            reasons.append("%s is answered by another member" % url)
        else:
            reasons.append("%s: %s" % (url, asked[endpoint].reason))
    return Survey(urls[0][0], False, reason="; ".join(reasons))


def _said(endpoint: Endpoint, answers: _Outcomes) -> Survey:
    said = {
        name: outcome
        for name, (outcome, unused) in answers.items()
        if isinstance(outcome, EtcdResult)
    }
    failed = {name: outcome for name, (outcome, unused) in answers.items() if name not in said}
    # An endpoint that refuses (no right to, or no v2 API) has answered.
    reachable = bool(said) or any(isinstance(exc, errors.EtcdException) for exc in failed.values())
    if not reachable:
        return Survey(endpoint.url, False, reason=str(next(iter(failed.values()), "")))
    served = [name for name in ("self", "leader", "members", "index", "auth") if name in said]
    off = any(isinstance(exc, errors.EtcdV2NotServed) for exc in failed.values())
    me, version, members, leader, auth, index, health = (said.get(name) for name in QUESTIONS)
    root = None if index is None else index.node
    return Survey(
        endpoint=endpoint.url,
        reachable=True,
        reason=_ailment(health, failed.get("health")),
        latency=min(
            (
                seconds
                for name, (unused, seconds) in answers.items()
                if name in said and name != "health" and seconds is not None
            ),
            default=None,
        ),
        version=None if version is None else version.version_etcdserver,
        cluster_version=None if version is None else version.version_etcdcluster,
        healthy=None if health is None else health.health is True,
        v2_served=True if served else False if off else None,
        member_id=None if me is None else me.id,
        name=None if me is None else me.name,
        leader_id=None if leader is None else leader.id,
        cluster_id=next(
            (one.cluster_id for one in (leader, members, index) if one is not None), None
        ),
        etcd_index=None if index is None else index.x_etcd_index,
        raft_index=None if index is None else index.raft_index,
        raft_term=None if index is None else index.raft_term,
        auth_enabled=None if auth is None else auth.body.get("enabled") is True,
        members=None
        if members is None
        else tuple(Member.from_body(one) for one in members.body.get("members") or ()),
        keys=None if root is None else tuple(sorted(node.key for node in root.nodes)),
    )


def _ailment(health: t.Optional[EtcdResult], failure: t.Optional[Exception]) -> t.Optional[str]:
    """Why a member that answered is not known to be healthy; None: it is, or was not asked."""
    if health is None:
        return None if failure is None else str(failure)
    if health.health is True:
        return None
    return health.body.get("reason") or "the member says that it is not healthy"
