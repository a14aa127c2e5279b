# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the client hands back of members, users and roles, under etcd's names and Python's.

PRIVATE to the collection: use it through client.py.
"""

from __future__ import annotations

import typing as t


class Member(t.NamedTuple):
    """One member of the cluster, as /v2/members lists it."""

    id: str
    name: str
    peer_urls: t.Tuple[str, ...]
    client_urls: t.Tuple[str, ...]

    @property
    def started(self) -> bool:
        """Whether it ever joined: a member that was added and never started has no name."""
        return bool(self.name)

    @classmethod
    def from_body(cls, raw: t.Mapping[str, t.Any]) -> "Member":
        """The member that an answer shows (its types have been checked by `_shapes`)."""
        return cls(
            id=raw.get("id", ""),
            name=raw.get("name") or "",
            peer_urls=tuple(raw.get("peerURLs") or ()),
            client_urls=tuple(raw.get("clientURLs") or ()),
        )


class Permissions(t.NamedTuple):
    """Patterns of keys that may be read and written: a key, or a prefix that ends in ``*``."""

    read: t.Tuple[str, ...] = ()
    write: t.Tuple[str, ...] = ()


class User(t.NamedTuple):
    """A user and the names of its roles."""

    name: str
    roles: t.Tuple[str, ...]


class Role(t.NamedTuple):
    """A role and what it permits."""

    name: str
    permissions: Permissions


class Survey(t.NamedTuple):
    """What one endpoint says of itself; None for what it did not say or was not asked.

    Attributes:
        endpoint: its URL; "" for a member that has none that can be asked.
        reachable: whether it answered anything.
        reason: why it is not reachable, or not healthy.
        latency: seconds from sending a request over an open connection to the end of its answer:
            the least of those that were measured. The answer on its health is not among them,
            because the server waits for the cluster to give it.
        v2_served: whether it serves the v2 API.
        member_id, name: of the member that it is.
        leader_id: of the member that leads, as far as this one knows.
        auth_enabled: whether v2 access control is on.
        members: of the cluster, as this one knows them.
        keys: in the root directory, in order.
    """

    endpoint: str
    reachable: bool
    reason: t.Optional[str] = None
    latency: t.Optional[float] = None
    version: t.Optional[str] = None
    cluster_version: t.Optional[str] = None
    healthy: t.Optional[bool] = None
    v2_served: t.Optional[bool] = None
    member_id: t.Optional[str] = None
    name: t.Optional[str] = None
    leader_id: t.Optional[str] = None
    cluster_id: t.Optional[str] = None
    etcd_index: t.Optional[int] = None
    raft_index: t.Optional[int] = None
    raft_term: t.Optional[int] = None
    auth_enabled: t.Optional[bool] = None
    members: t.Optional[t.Tuple[Member, ...]] = None
    keys: t.Optional[t.Tuple[str, ...]] = None

    @property
    def is_leader(self) -> t.Optional[bool]:
        if self.member_id is None or self.leader_id is None:
            return None
        return self.member_id == self.leader_id
