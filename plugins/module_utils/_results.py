# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the client hands back of keys: nodes and results, under etcd's names and Python's.

PRIVATE to the collection: use it through client.py.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping


#: Key, value (None for a directory), whether it is one, seconds to live, when it expires, and the
#: indexes of its creation and of its last change (0: not shown).
NodeFacts = t.Tuple[str, t.Optional[str], bool, t.Optional[int], t.Optional[str], int, int]


class Node(Mapping):
    """A key or directory as the server showed it; read-only.

    It reads as the mapping that the server sent (``node["modifiedIndex"]``) and by attribute
    (``node.modified_index``). An attribute that the server left out is None.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: t.Mapping[str, t.Any]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> t.Any:
        return self._raw[name]

    def __iter__(self) -> t.Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return "Node(%r)" % (self.key,)

    @property
    def key(self) -> str:
        """Full path; the root, which the server shows without one, is "/"."""
        return self._raw.get("key", "/")

    @property
    def value(self) -> t.Optional[str]:
        return self._raw.get("value")

    @property
    def dir(self) -> bool:
        return self._raw.get("dir", False)

    @property
    def nodes(self) -> t.Tuple["Node", ...]:
        """Children of a directory: visible ones only, in the order of the answer."""
        return tuple(Node(raw) for raw in self._raw.get("nodes") or ())

    def walk(self) -> t.Iterator[NodeFacts]:
        """The node and all that the answer shows below it, parents before children."""
        todo = [self._raw]
        while todo:
            raw = todo.pop()
            is_dir = raw.get("dir", False)
            left = raw.get("ttl")
            expiration = raw.get("expiration")
            yield (
                raw.get("key", "/"),
                None if is_dir else raw.get("value", ""),
                is_dir,
                0 if left is None and expiration is not None else left,
                expiration,
                raw.get("createdIndex", 0),
                raw.get("modifiedIndex", 0),
            )
            if is_dir:
                todo.extend(raw.get("nodes") or ())

    @property
    def ttl(self) -> t.Optional[int]:
        """Remaining seconds (rounded up); 0 for a key that is about to be swept; None without one.

        A node that has run out and still awaits the leader's sweep (about every 0.5 s) is shown
        with an expiration and no ttl (observed on 3.4 and 3.5).
        """
        left = self._raw.get("ttl")
        return 0 if left is None and "expiration" in self._raw else left

    @property
    def expiration(self) -> t.Optional[str]:
        return self._raw.get("expiration")

    @property
    def created_index(self) -> t.Optional[int]:
        return self._raw.get("createdIndex")

    @property
    def modified_index(self) -> t.Optional[int]:
        return self._raw.get("modifiedIndex")

    createdIndex = created_index
    modifiedIndex = modified_index


#: Attribute -> name in the body, for what the pyetcd documentation lists and its snake case.
_FIELDS = {
    "action": "action",
    "id": "id",
    "name": "name",
    "peer_urls": "peerURLs",
    "client_urls": "clientURLs",
    "leader": "leader",
    "leader_info": "leaderInfo",
    "followers": "followers",
    "state": "state",
    "start_time": "startTime",
    "recv_append_request_cnt": "recvAppendRequestCnt",
    "send_append_request_cnt": "sendAppendRequestCnt",
    "version_etcdserver": "etcdserver",
    "version_etcdcluster": "etcdcluster",
}
_FIELDS.update({field: field for field in list(_FIELDS.values())})


class EtcdResult:
    """The answer to one operation; read-only.

    Attributes:
        body: the parsed body, as the server sent it.
        endpoint: URL of the endpoint that answered.
        attempts: how many requests were sent for this operation.

    What the pyetcd documentation lists (action, node, prevNode, id, leaderInfo, ...) is an
    attribute too, in snake case as well, and None where this answer has no such field.
    """

    __slots__ = (
        "body",
        "endpoint",
        "attempts",
        "_headers",
    )

    def __init__(
        self,
        body: t.Mapping[str, t.Any],
        headers: t.Any,
        *,
        endpoint: str,
        attempts: int = 1,
    ) -> None:
        self.body = body
        self.endpoint = endpoint
        self.attempts = attempts
        self._headers = headers

    @property
    def x_etcd_index(self) -> t.Optional[int]:
        """The store's index; None where the API does not send it."""
        return header_number(self._headers, "X-Etcd-Index")

    @property
    def raft_index(self) -> t.Optional[int]:
        """The raft index; None where the API does not send it."""
        return header_number(self._headers, "X-Raft-Index")

    @property
    def raft_term(self) -> t.Optional[int]:
        """The raft term; None where the API does not send it."""
        return header_number(self._headers, "X-Raft-Term")

    @property
    def cluster_id(self) -> t.Optional[str]:
        """Id of the cluster in hexadecimal; None where the API does not send it."""
        return self._headers.get("X-Etcd-Cluster-Id")

    def __getattr__(self, name: str) -> t.Any:
        field = _FIELDS.get(name)
        if field is None:
            raise AttributeError("an etcd result has no %r" % name)
        return self.body.get(field)

    def __repr__(self) -> str:
        return "EtcdResult(action=%r, node=%r, x_etcd_index=%r, endpoint=%r)" % (
            self.body.get("action"),
            self.node,
            self.x_etcd_index,
            self.endpoint,
        )

    @property
    def node(self) -> t.Optional[Node]:
        raw = self.body.get("node")
        return None if raw is None else Node(raw)

    @property
    def prev_node(self) -> t.Optional[Node]:
        raw = self.body.get("prevNode")
        return None if raw is None else Node(raw)

    prevNode = prev_node

    @property
    def removed(self) -> bool:
        """Whether this operation or event took away what `node` names."""
        return self.body.get("action") in ("delete", "compareAndDelete", "expire")

    @property
    def health(self) -> t.Optional[bool]:
        """Whether the member calls itself healthy; None where this is no answer about health."""
        said = self.body.get("health")
        return None if said is None else said in (True, "true")


def header_number(headers: t.Any, name: str) -> t.Optional[int]:
    """A header's number of at most 64 bits, or None where it is missing or none."""
    text = headers.get(name)
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 20:
        return None
    return int(text)


def event_index(event: EtcdResult) -> int:
    """Where an event stands in the store's history; a watch goes on at the index after it."""
    modified = None if event.node is None else event.node.modified_index
    return modified or event.x_etcd_index or 0
