# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_backup does.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import (
    _backups,
    _documents,
    _files,
    _limits,
    errors,
)
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult


class HostFiles(t.Protocol):
    """How files of the host are written, with the owner and mode that the task wants."""

    def write(self, name: str, text: str) -> None:
        """Replace a file, whole or not at all."""

    def set_attributes(self, name: str) -> bool:
        """Give a file its owner and mode; whether it had others."""


def save_tree(
    options: t.Mapping[str, t.Any],
    connect: t.Callable[[], t.Any],
    *,
    apply: bool,
    files: HostFiles,
) -> t.Dict[str, t.Any]:
    """Save a directory to a file, unless a file holds the same already.

    Args:
        connect: makes the client; called once the options have been found right.
        apply: False to find out only.
        files: does nothing where `apply` is False but find out.

    Raises:
        Refusal: there is no such directory, or the file cannot be written.
        errors.EtcdException: it could not be read.
    """
    path = _limits.canonical_key(options["path"])
    hidden = _hidden(path, options["hidden"])
    client = connect()
    result = _read(client, path)
    if result is None:
        missing = "%s does not exist, so there is nothing to save" % path
        if apply:
            raise Refusal(missing, error=errors.EtcdKeyNotFound)
        return _foreseen(path, options["dest"], missing)
    if result.node is None or not result.node.dir:
        raise Refusal(
            "%s is a key with a value; name the directory that is to be saved" % path,
            error=errors.EtcdNotDir,
        )
    states = _states(result)
    warnings = []
    for key in hidden:
        found = _read(client, key)
        states.update(_states(found))
        if found is None:
            warnings.append(
                "the hidden key %s does not exist, so the backup does not hold it" % key
            )
    backup = _backups.Backup(
        path,
        hidden,
        result.cluster_id,
        result.x_etcd_index or 0,
        datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        _backups.saved_nodes(states),
    )
    dest = options["dest"]
    for name in filter(None, (dest, options["unless_same_as"])):
        earlier = _earlier(name)
        if earlier is not None and _backups.same(earlier, backup):
            changed = name == dest and files.set_attributes(dest)
            return dict(_report(earlier, name), changed=changed, warnings=warnings)
    if apply:
        files.write(dest, _backups.text(_backups.document(backup)))
    return dict(_report(backup, dest), changed=True, warnings=warnings)


def _foreseen(path: str, dest: str, missing: str) -> t.Dict[str, t.Any]:
    """What check mode returns of a directory that is not there, and that an earlier task may make."""
    warning = "%s (this fails without check mode, unless an earlier task of the play makes it)"
    return {
        "changed": True,
        "dest": dest,
        "directory": path,
        "key_count": 0,
        "directory_count": 0,
        "cluster_id": None,
        "etcd_index": None,
        "saved_at": None,
        "warnings": [warning % missing],
    }


def _hidden(path: str, names: t.Sequence[str]) -> t.Tuple[str, ...]:
    """The hidden keys that are to be saved too.

    Raises:
        Refusal: one of them is not below the path, or not hidden.
    """
    keys = tuple(sorted({_limits.canonical_key(name) for name in names}))
    for key in keys:
        if not key.startswith(path.rstrip("/") + "/"):
            raise Refusal("the hidden key %s is not below the path %s; leave it out" % (key, path))
        if "/_" not in key:
            raise Refusal(
                "%s is not hidden, as no name in it starts with an underscore, and is saved anyway;"
                " leave it out" % key
            )
    return keys


def _read(client: t.Any, key: str) -> t.Optional[EtcdResult]:
    """What is at the key and below it; None: no such key."""
    try:
        result = client.read(key, recursive=True, quorum=True)  # type: EtcdResult
    except (errors.EtcdKeyNotFound, errors.EtcdNotDir):
        # Below a key with a value nothing exists either.
        return None
    return result


def _states(result: t.Optional[EtcdResult]) -> t.Dict[str, KeyState]:
    if result is None or result.node is None:
        return {}
    return {one[0]: KeyState(*one[1:]) for one in result.node.walk()}


def _earlier(name: str) -> t.Optional[_backups.Backup]:
    """The backup in a file; None if it holds none, or is not there."""
    try:
        return _backups.checked(_documents.parse_json(_files.read_text(name), name))
    except Refusal:
        return None


def _report(backup: _backups.Backup, name: str) -> t.Dict[str, t.Any]:
    directories = sum(saved.value is None for saved in backup.nodes.values())
    return {
        "dest": name,
        "directory": backup.path,
        "key_count": len(backup.nodes) - directories,
        "directory_count": directories,
        "cluster_id": backup.cluster_id,
        "etcd_index": backup.etcd_index,
        "saved_at": backup.saved_at,
    }
