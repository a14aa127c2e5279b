# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operations on the cluster: members, versions, health, statistics.

An endpoint that is named in a call gets the client's credentials only if it is one of the client's.

PRIVATE to the collection: use it through client.py.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _endpoints, _wire, errors
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._types import Api, Endpoint, Request


class ClusterApi:
    """Operations on the cluster; every one raises errors.EtcdException."""

    _prefix: str
    _send: t.Callable[[Request], EtcdResult]
    _send_to: t.Callable[[Endpoint, Request], EtcdResult]
    _all_endpoints: t.Callable[[], t.Sequence[Endpoint]]

    def members(self) -> t.Tuple[Member, ...]:
        """All members, as the member that answers knows them (also without a quorum)."""
        body = self._send(_wire.read_api(Api.MEMBERS, self._members_path())).body
        return tuple(Member.from_body(one) for one in body.get("members") or ())

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
        return Member.from_body(
            self._send(_wire.read_api(Api.MEMBERS, self._members_path("leader"))).body
        )

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
