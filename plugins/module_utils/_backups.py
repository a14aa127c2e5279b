# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups of a tree: what their files look like, and whether one is whole. Pure.

PRIVATE to the collection: it can change at any time.

A backup is a JSON document. Its checksum covers all else that is in it, as canonical JSON, so that
only a change of the content is damage, and not another layout of the file.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _limits, _values
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

#: Name and number of the format.
_FORMAT, _NUMBER = "quorum.etcd backup", 1

#: What else is in it, with its type.
_FIELDS = (
    ("cluster_id", (str, type(None))),
    ("etcd_index", int),
    ("saved_at", str),
    ("path", str),
    ("hidden", list),
    ("nodes", dict),
)  # type: t.Tuple[t.Tuple[str, t.Any], ...]

Document = t.Mapping[str, t.Any]


class Saved(t.NamedTuple):
    """A key or directory in a backup.

    Attributes:
        value: None for a directory.
        ttl: seconds that it had left; None without a TTL.
        expiration: when it was to expire, as the server said it.
    """

    value: t.Optional[str]
    ttl: t.Optional[int] = None
    expiration: t.Optional[str] = None


class Backup(t.NamedTuple):
    """What a backup holds.

    Attributes:
        path: the directory that was saved.
        hidden: hidden keys that were to be saved too, whether they existed or not.
        cluster_id: of the cluster that it is of, in hexadecimal.
        etcd_index: of the store, when all but the hidden keys was read.
        saved_at: when that was, in UTC.
        nodes: full key -> what was there.
    """

    path: str
    hidden: t.Tuple[str, ...]
    cluster_id: t.Optional[str]
    etcd_index: int
    saved_at: str
    nodes: t.Mapping[str, Saved]


def saved_nodes(states: t.Mapping[str, KeyState]) -> t.Dict[str, Saved]:
    """What is to be saved of what was read: all but what has run out and is about to be swept."""
    nodes = {}  # type: t.Dict[str, Saved]
    swept = set()  # type: t.Set[str]
    for key in sorted(states):
        state = states[key]
        if state.ttl == 0 or key.rpartition("/")[0] in swept:
            swept.add(key)
        else:
            nodes[key] = Saved(state.value, state.ttl, state.expiration)
    return nodes


def same(one: Backup, other: Backup) -> bool:
    """Whether two backups hold the same; seconds that count down and the index do not matter."""
    return _lasting(one) == _lasting(other)


def _lasting(backup: Backup) -> t.Tuple[t.Any, ...]:
    nodes = {key: (saved.value, saved.expiration) for key, saved in backup.nodes.items()}
    return backup.path, backup.hidden, backup.cluster_id, nodes


def document(backup: Backup) -> t.Dict[str, t.Any]:
    """The backup as JSON has it, with its checksum."""
    content = {
        _FORMAT: _NUMBER,
        "cluster_id": backup.cluster_id,
        "etcd_index": backup.etcd_index,
        "saved_at": backup.saved_at,
        "path": backup.path,
        "hidden": list(backup.hidden),
        "nodes": {key: _node(backup.nodes[key]) for key in sorted(backup.nodes)},
    }  # type: t.Dict[str, t.Any]
    return dict(content, checksum=_checksum(content))


def _node(saved: Saved) -> t.Dict[str, t.Any]:
    node = {"dir": True} if saved.value is None else {"value": saved.value}  # type: t.Dict[str, t.Any]
    if saved.ttl is not None:
        node.update(ttl=saved.ttl, expiration=saved.expiration)
    return node


def _checksum(content: Document) -> str:
    # What is damaged may hold what UTF-8 cannot.
    canonical = _values.canonical_json(content).encode("utf-8", "surrogatepass")
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def text(content: Document) -> str:
    """The text of a document, with a line for each key."""
    lines = []
    for name, value in content.items():
        if name != "nodes":
            lines.append(" %s: %s" % (_json(name), _json(value)))
    nodes = ",\n".join(
        "  %s: %s" % (_json(key), _json(node)) for key, node in content["nodes"].items()
    )
    lines.append(' "nodes": {\n%s\n }' % nodes)
    return "{\n%s\n}\n" % ",\n".join(lines)


def _json(value: t.Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def is_one(content: t.Any) -> bool:
    """Whether a document is a backup, whole or not, and no other tree."""
    return isinstance(content, dict) and _FORMAT in content and "checksum" in content


def checked(content: t.Any) -> Backup:
    """The backup that a document holds.

    Raises:
        Refusal: it is none, or not the one that was written.
    """
    if not is_one(content):
        raise Refusal("this is no backup that quorum.etcd.etcd_backup wrote, or it is damaged")
    if content[_FORMAT] != _NUMBER:
        raise Refusal(
            "the backup has format %s, and this version of quorum.etcd reads format %s; restore it"
            " with the version that wrote it" % (content[_FORMAT], _NUMBER)
        )
    rest = {name: value for name, value in content.items() if name != "checksum"}
    found = _checksum(rest)
    if found != content["checksum"]:
        raise Refusal(
            "the backup is damaged: its checksum is %s, and its content has %s; use another one"
            % (content["checksum"], found)
        )
    wrong = _wrong(content)
    if wrong is not None:
        raise Refusal(
            "the backup is damaged, though its checksum fits: %s; use another one" % wrong
        )
    nodes = {
        key: Saved(node.get("value"), node.get("ttl"), node.get("expiration"))
        for key, node in content["nodes"].items()
    }
    return Backup(
        content["path"],
        tuple(content["hidden"]),
        content["cluster_id"],
        content["etcd_index"],
        content["saved_at"],
        nodes,
    )


def _wrong(content: Document) -> t.Optional[str]:
    """What about a document cannot have been written here; None: nothing.

    Whoever changes a backup can change its checksum, too.
    """
    for name, kind in _FIELDS:
        if name not in content or not _is(content[name], kind):
            return "%s is missing, or not what it has to be" % name
    if not all(_is(key, str) for key in content["hidden"]):
        return "hidden is not a list of keys"
    if not _is_key(content["path"]):
        return "path is not a key"
    for key, node in content["nodes"].items():
        if not _is_key(key) or not _is_node(node):
            return "%s is not a key or a directory" % _limits.shown(key)
    return None


def _is(value: t.Any, kind: t.Any) -> bool:
    """Whether the value has the type; a boolean is no number."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_key(text: t.Any) -> bool:
    try:
        return bool(_limits.canonical_key(text) == text)
    except ClientException:
        return False


def _is_node(node: t.Any) -> bool:
    if not isinstance(node, dict):
        return False
    is_dir = node.get("dir") is True
    ttl = node.get("ttl")
    return (
        is_dir != _is(node.get("value"), str)
        and (ttl is None or (_is(ttl, int) and 0 < ttl <= _limits.MAX_TTL))
        and (ttl is None) == (node.get("expiration") is None)
        and _is(node.get("expiration", ""), (str, type(None)))
    )
