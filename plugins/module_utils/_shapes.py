# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an answer has the types that etcd's answers have; pure.

PRIVATE to the collection: it can change at any time.

What is not etcd may answer with JSON too. Whatever reads an answer further up may rely on the types
that are checked here, and on nothing else: a field may be missing, and one may come that is not known.

Source: answers of etcd 3.4.23 and 3.5.1. Go writes null for an empty list or object.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils._types import Api

#: Field -> type, of a key or directory.
_NODE = {
    "key": str,
    "value": str,
    "dir": bool,
    "ttl": int,
    "expiration": str,
    "createdIndex": int,
    "modifiedIndex": int,
    "nodes": list,
}  # type: t.Dict[str, type]

_USUAL = {"key", "value", "createdIndex", "modifiedIndex"}

#: A shape is a type, the shapes of some fields, a list with the shape of its items, or a tuple of
#: alternatives.
Shape = t.Any

_MEMBER = {"id": str, "name": str, "peerURLs": [str], "clientURLs": [str]}  # type: Shape
_ROLE = {
    "role": str,
    "permissions": {"kv": {"read": [str], "write": [str]}},
}  # type: Shape
_SHAPES = {
    Api.MEMBERS: dict(_MEMBER, members=[_MEMBER]),
    # 3.4 and 3.5 list roles and users as objects, 2.x as plain texts.
    Api.AUTH: dict(
        _ROLE,
        user=str,
        enabled=bool,
        roles=[(str, _ROLE)],
        users=[(str, {"user": str, "roles": [(str, _ROLE)]})],
    ),
    Api.STATS: {"id": str, "name": str},
    Api.SERVER: {
        "etcdserver": str,
        "etcdcluster": str,
        "health": (str, bool),
        "reason": str,
    },
}  # type: t.Dict[Api, Shape]


def fits(api: Api, body: t.Mapping[str, t.Any]) -> bool:
    """Whether the body of a successful answer has the types of this family of answers."""
    if api is not Api.KEYS:
        return _fits(body, _SHAPES[api])
    nodes = [body[name] for name in ("node", "prevNode") if name in body]
    return isinstance(body.get("action"), str) and are_nodes(nodes)


def are_nodes(nodes: t.List[t.Any]) -> bool:
    """Whether these are keys and directories, with all that is below them.

    There may be 100,000 of them, most of which have no other fields than the first four.
    """
    todo = [nodes]
    while todo:
        for node in todo.pop():
            if node.__class__ is not dict:
                return False
            get = node.get
            if (
                get("key", "").__class__ is not str
                or get("value", "").__class__ is not str
                or get("createdIndex", 0).__class__ is not int
                or get("modifiedIndex", 0).__class__ is not int
            ):
                return False
            if len(node) > 4 or not node.keys() <= _USUAL:
                if not all(_is_field(*field) for field in node.items()):
                    return False
                todo.append(get("nodes") or [])
    return True


def _is_field(name: str, value: t.Any) -> bool:
    if name == "nodes" and value is None:
        return True
    return value.__class__ is _NODE.get(name, value.__class__)


def _fits(value: t.Any, shape: Shape) -> bool:
    if isinstance(shape, tuple):
        return any(_fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(one, shape[0]) for one in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(
            _is_null(value[name], one) or _fits(value[name], one)
            for name, one in shape.items()
            if name in value
        )
    return value.__class__ is shape


def _is_null(value: t.Any, shape: Shape) -> bool:
    return value is None and isinstance(shape, (list, dict))
