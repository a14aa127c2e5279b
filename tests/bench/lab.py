# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every section of the benchmark is given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness import Binary, Cluster

#: Where a server's files cost no disk access, which would hide what the clients cost.
_MEMORY = Path("/dev/shm")  # noqa: S108 - only the harness's own folder is made there


@dataclass(frozen=True)
class Lab:
    """The surroundings of one run.

    Attributes:
        scratch: a folder that goes when the run ends.
        tree: holds the checkout as ansible_collections/quorum/etcd.
        node: a cluster of one member.
        quick: fewer rounds, for a first impression.
        collections: folders with other collections.
    """

    scratch: Path
    tree: Path
    binary: Binary
    node: Cluster
    quick: bool
    collections: tuple[Path, ...] = ()

    @property
    def endpoint(self) -> str:
        """The URL of the one member."""
        return self.node.endpoints[0]

    def rounds(self, number: int) -> int:
        """How many rounds to run where a whole benchmark runs so many."""
        return max(3, number // 4) if self.quick else number


def cluster(binary: Binary, size: int) -> Cluster:
    """A cluster with its files in memory where the machine offers that."""
    in_memory = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)
    return Cluster(binary, size, parent_directory=str(_MEMORY) if in_memory else None)
