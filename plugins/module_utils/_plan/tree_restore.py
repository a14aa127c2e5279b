# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task that restores a backup says of a directory: reading its options. Pure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _backups, _limits
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._plan import dir as dir_plan
from ansible_collections.quorum.etcd.plugins.module_utils._plan import tree_wish


def wish_from_backup(options: t.Mapping[str, t.Any], backup: _backups.Backup) -> tree_wish.Wish:
    """Read a task's options, and what a backup holds at the path and below it.

    Every key has the TTL that it had when the backup was made, or none.

    Raises:
        Refusal: the options do not go together, or the backup does not hold such a directory.
        errors.ClientException: etcd cannot take the path.
    """
    path = _limits.canonical_key(options["path"])
    if options["state"] != "present":
        raise Refusal("src_format: backup is for state: present; leave one of the two out")
    if options["ttl"] is not None or options["leaf_json"] or options["leaf_json_depth"] is not None:
        raise Refusal(
            "ttl and leaf_json are not for src_format: backup, which tells both; leave them out"
        )
    if path not in backup.nodes or backup.nodes[path].value is not None:
        raise Refusal(
            "the backup is of %s, and holds no directory %s; give the path of one that it holds"
            % (backup.path, path)
        )
    leaves = {}  # type: t.Dict[str, tree_wish.Leaf]
    directories = {path: backup.nodes[path].ttl or 0}  # type: t.Dict[str, t.Optional[int]]
    for key, saved in backup.nodes.items():
        if key.startswith(path.rstrip("/") + "/") and key != path:
            ttl = saved.ttl or 0
            if saved.value is None:
                directories[key] = ttl
            else:
                leaves[key] = tree_wish.Leaf(saved.value, False, ttl)
    return tree_wish.checked_wish(options, path, leaves, directories)


def directories_with_another_ttl(
    current: t.Mapping[str, KeyState], wish: tree_wish.Wish
) -> t.List[str]:
    """Directories that exist, and keep a TTL (or none) that is not the one that is wished."""
    return [
        key
        for key in sorted(wish.directories)
        if key in current
        and current[key].is_dir
        and not dir_plan.ttl_is_fine(current[key].ttl, wish.directories[key])
    ]
