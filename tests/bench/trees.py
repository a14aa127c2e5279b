# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The trees that etcd_tree is measured with: directories of 100 keys, values of 20 to 200 bytes."""

from __future__ import annotations

import contextlib
import json
import random
import string
from pathlib import Path

from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.module_utils.errors import EtcdKeyNotFound

#: Where the trees are in the store.
PATH = "/bench/tree"

_IN_DIRECTORY = 100
_SHORTEST, _LONGEST = 20, 200
_CHANGED = 100


def file(folder: Path, count: int, *, changed: bool = False) -> Path:
    """A JSON file with a tree of so many keys.

    Args:
        changed: whether one value in 100 is another one than in the tree without it.
    """
    chance = random.Random(count)  # noqa: S311 - the same tree each time
    tree: dict[str, dict[str, str]] = {}
    for number in range(count):
        size = chance.randint(_SHORTEST, _LONGEST)
        value = "".join(chance.choices(string.ascii_letters, k=size))
        if changed and number % _CHANGED == 0:
            value = value.swapcase()
        tree.setdefault(f"service-{number // _IN_DIRECTORY:04}", {})[f"key-{number:06}"] = value
    path = folder / f"tree-{count}{'-changed' if changed else ''}.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


def remove(client: Client, path: str = PATH) -> None:
    """Remove a directory with all that is below it, if there is one."""
    with contextlib.suppress(EtcdKeyNotFound):
        client.rmdir(path, recursive=True)
