# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operations on the cluster: members, versions, health, statistics.

PRIVATE to the collection: use it through client.py.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _endpoints, _wire, errors
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import Api, Endpoint, Request


class ClusterApi:
    """Operations on the cluster; every one raises errors.EtcdException."""

    _prefix: str
    _send: t.Callable[[Request], EtcdResult]
    _send_to: t.Callable[[Endpoint, Request], EtcdResult]
    _send_once_each: t.Callable[
        [t.Sequence[t.Tuple[Endpoint, Request]]], t.Sequence[t.Tuple[t.Any, float]]
    ]
    _all_endpoints: t.Callable[[], t.Sequence[Endpoint]]

    def members(self) -> t.Tuple[Member, ...]:
        """All members, as the member that answers knows them (also without a quorum)."""
        return _members(self._send(_wire.read_api(Api.MEMBERS, self._members_path())).body)

    def add_member(self, peer_urls: t.Union[str, t.Sequence[str]]) -> EtcdResult:
        """Add a member; the result has its id and name ("" until it starts).

        Args:
            peer_urls: scheme, host and port each; no path, no trailing slash.

        Raises:
            errors.EtcdMemberExists: a URL belongs to a member already.
            errors.EtcdReconfigurationRefused: the server refused and does not say why: within
                5 s of its start, with a peer down, or while another member has not started.
            errors.EtcdRefused: a URL is not valid; the message says how.
        """
        body = {"peerURLs": _urls(peer_urls)}
        return self._send(_wire.write_api(Api.MEMBERS, "POST", self._members_path(), body))

    def update_member(self, member_id: str, peer_urls: t.Union[str, t.Sequence[str]]) -> None:
        """Give a member other peer URLs.

        Raises:
            errors.EtcdMemberNotFound, errors.EtcdMemberExists,
            errors.EtcdReconfigurationRefused: also for a member that was removed.
        """
        path = self._members_path(member_id)
        self._send(_wire.write_api(Api.MEMBERS, "PUT", path, {"peerURLs": _urls(peer_urls)}))

    def remove_member(self, member_id: str) -> None:
        """Remove a member.

        Raises:
            errors.EtcdMemberNotFound: no member has this id.
            errors.EtcdMemberRemoved: it was removed before.
            errors.EtcdReconfigurationRefused: for example, a healthy one while another is down.
        """
        self._send(_wire.write_api(Api.MEMBERS, "DELETE", self._members_path(member_id)))

    def leader(self) -> Member:
        """The member that leads.

        Raises:
            errors.EtcdNoLeader: there is none at this moment.
        """
        return _member(self._send(_wire.read_api(Api.MEMBERS, self._members_path("leader"))).body)

    def version(self) -> str:
        """Version of the server that answers, for example "3.5.1"."""
        return self._version_of("etcdserver")

    version_server = version

    def version_cluster(self) -> str:
        """Version that the cluster agreed on, for example "3.5.0", or "not_decided"."""
        return self._version_of("etcdcluster")

    @property
    def health(self) -> bool:
        """Whether some endpoint answers and calls itself healthy (this property does I/O)."""
        try:
            return self._send(_HEALTH).health is True
        except errors.EtcdException:
            return False

    def health_of(self, endpoint: str) -> EtcdResult:
        """What one endpoint says of its health: `health`, and in `body` the reason since 3.5.

        An unhealthy member is a result, not an error; it may take a second to answer.

        Raises:
            errors.EtcdUnreachable: it does not answer.
        """
        return self._send_to(_endpoints.parse(endpoint), _HEALTH)

    def survey(self, endpoints: t.Optional[t.Sequence[str]] = None) -> t.Tuple[Survey, ...]:
        """What each endpoint says of itself, all asked at the same time.

        It takes no longer than one answer may take, however many endpoints are silent.

        Args:
            endpoints: URLs to ask; None for those of this client.

        Raises:
            errors.EtcdDiscoveryFailed: DNS discovery gave no endpoint.
        """
        asked = self._all_endpoints() if endpoints is None else _endpoints.parse_all(endpoints)  # type: t.Sequence[Endpoint]
        questions = {
            "version": _VERSION,
            "health": _HEALTH,
            "self": _wire.read_api(Api.STATS, "/%s/stats/self" % self._prefix),
            "leader": _wire.read_api(Api.MEMBERS, self._members_path("leader")),
            "members": _wire.read_api(Api.MEMBERS, self._members_path()),
            "index": _wire.read_key(self._prefix, "/", {}),
            "auth": _wire.read_api(Api.AUTH, "/%s/auth/enable" % self._prefix),
        }
        pairs = [(endpoint, question) for endpoint in asked for question in questions.values()]
        answers = self._send_once_each(pairs)
        size = len(questions)
        return tuple(
            _survey(endpoint, dict(zip(questions, answers[start : start + size])))
            for endpoint, start in zip(asked, range(0, len(answers), size))
        )

    def stats_self(self, endpoint: t.Optional[str] = None) -> EtcdResult:
        """Statistics of the member that answers (a former leader cut off still says it leads).

        Args:
            endpoint: URL of the one to ask; None for any.
        """
        return self._stats("self", endpoint)

    def stats_leader(self, endpoint: t.Optional[str] = None) -> EtcdResult:
        """The leader's statistics of its followers.

        Args:
            endpoint: URL of the leader; None to ask one endpoint after the other until it is found.

        Raises:
            errors.EtcdNotLeader: none of the endpoints leads.
        """
        request = _wire.read_api(Api.STATS, "/%s/stats/leader" % self._prefix)
        refused = None  # type: t.Optional[errors.EtcdException]
        asked = self._all_endpoints() if endpoint is None else [_endpoints.parse(endpoint)]
        for one in asked:
            try:
                return self._send_to(one, request)
            except (errors.EtcdNotLeader, errors.EtcdUnreachable, errors.EtcdV2NotServed) as exc:
                if refused is None or isinstance(exc, errors.EtcdNotLeader):
                    refused = exc
        raise refused or errors.EtcdNotLeader("there is no endpoint to ask")

    def stats_store(self, endpoint: t.Optional[str] = None) -> EtcdResult:
        """Counters of the member that answers, in `body`; each member counts for itself.

        Args:
            endpoint: URL of the one to ask; None for any.
        """
        return self._stats("store", endpoint)

    def _stats(self, name: str, endpoint: t.Optional[str]) -> EtcdResult:
        request = _wire.read_api(Api.STATS, "/%s/stats/%s" % (self._prefix, name))
        if endpoint is None:
            return self._send(request)
        return self._send_to(_endpoints.parse(endpoint), request)

    def _version_of(self, what: str) -> str:
        result = self._send(_VERSION)
        found = result.body.get(what)  # type: t.Optional[str]
        if found is None:
            raise errors.EtcdInvalidResponse(
                "the answer to %s does not tell the version of %s" % (_VERSION, what),
                endpoint=result.endpoint,
            )
        return found

    def _members_path(self, member_id: t.Optional[str] = None) -> str:
        path = "/%s/members" % self._prefix
        if member_id is None:
            return path
        return path + "/" + _wire.path_segment(member_id, "a member id")


_HEALTH = _wire.read_api(Api.SERVER, "/health")
_VERSION = _wire.read_api(Api.SERVER, "/version")


def _urls(peer_urls: t.Union[str, t.Sequence[str]]) -> t.List[str]:
    urls = [peer_urls] if isinstance(peer_urls, str) else list(peer_urls)
    if not urls or not all(isinstance(url, str) and url for url in urls):
        raise errors.ClientException(
            "peer_urls is a list of URLs such as http://10.0.1.10:2380, not %r" % (peer_urls,)
        )
    return urls


def _members(body: t.Mapping[str, t.Any]) -> t.Tuple[Member, ...]:
    return tuple(_member(one) for one in body.get("members") or ())


def _member(raw: t.Mapping[str, t.Any]) -> Member:
    return Member(
        id=raw.get("id", ""),
        name=raw.get("name") or "",
        peer_urls=tuple(raw.get("peerURLs") or ()),
        client_urls=tuple(raw.get("clientURLs") or ()),
    )


def _survey(endpoint: Endpoint, answers: t.Mapping[str, t.Tuple[t.Any, float]]) -> Survey:
    said = {
        name: outcome
        for name, (outcome, unused) in answers.items()
        if isinstance(outcome, EtcdResult)
    }
    failed = {name: outcome for name, (outcome, unused) in answers.items() if name not in said}
    # An endpoint that refuses (no right to, or no v2 API) has answered.
    reachable = bool(said) or any(isinstance(exc, errors.EtcdException) for exc in failed.values())
    if not reachable:
        return Survey(endpoint.url, False, reason=str(failed["version"]))
    served = [name for name in ("self", "leader", "members", "index", "auth") if name in said]
    off = any(isinstance(exc, errors.EtcdV2NotServed) for exc in failed.values())
    version, health, me, leader, members, index, auth = (
        said.get(name)
        for name in ("version", "health", "self", "leader", "members", "index", "auth")
    )
    root = None if index is None else index.node
    healthy = None if health is None else health.health is True
    reason = None
    if health is None:
        reason = str(failed["health"])
    elif not healthy:
        reason = health.body.get("reason") or "the member says that it is not healthy"
    return Survey(
        endpoint=endpoint.url,
        reachable=True,
        reason=reason,
        latency=answers["version"][1] if version is not None else None,
        version=None if version is None else version.version_etcdserver,
        cluster_version=None if version is None else version.version_etcdcluster,
        healthy=healthy,
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
        members=None if members is None else _members(members.body),
        keys=None if root is None else tuple(sorted(node.key for node in root.nodes)),
    )
