# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a quorum read finds of a key or directory.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult, Node


class Reads(t.Protocol):
    """What this file needs of `client.Client`."""

    def read(
        self,
        key: str,
        *,
        recursive: bool = False,
        quorum: bool = False,
        wait: bool = False,
        wait_index: t.Optional[int] = None,
        timeout: t.Optional[float] = None,
    ) -> EtcdResult:
        """As `Client` does."""


class Reading(t.NamedTuple):
    """The key's state and the node itself (None: no such key), and which endpoint told it.

    Attributes:
        blocked_by: the key with a value that stands where a directory above this key is needed, so
            that this key cannot exist; None for none.
    """

    state: t.Optional[KeyState]
    etcd_index: int
    endpoint: t.Optional[str]
    attempts: int
    node: t.Optional[Node] = None
    blocked_by: t.Optional[str] = None


def read(client: Reads, key: str, recursive: bool = False, *, children: bool = True) -> Reading:
    """Read a key, or a directory with its children.

    Args:
        recursive: all that is below a directory, not its children only.
        children: whether the state lists them.

    Raises:
        errors.EtcdException: it could not be read.
    """
    try:
        result = client.read(key, recursive=recursive, quorum=True)
    except errors.EtcdKeyNotFound as exc:
        return Reading(None, exc.index or 0, exc.endpoint, 1)
    except errors.EtcdNotDir as exc:
        return Reading(None, exc.index or 0, exc.endpoint, 1, blocked_by=exc.cause or "a key")
    return Reading(
        None if result.node is None else _state(result.node, children),
        result.x_etcd_index or 0,
        result.endpoint,
        result.attempts,
        result.node,
    )


def read_states(client: Reads, key: str) -> t.Tuple[t.Dict[str, KeyState], Reading]:
    """What is at the key and, if it is a directory, below it; by full key, from one request.

    Raises:
        errors.EtcdException: it could not be read.
    """
    reading = read(client, key, recursive=True, children=False)
    if reading.node is None:
        return {}, reading
    return {one[0]: KeyState(*one[1:]) for one in reading.node.walk()}, reading


def refuse_below_value(key: str, reading: Reading) -> None:
    """For a plan that writes: a key cannot exist below one that holds a value.

    A plan that finds nothing to do (`state: absent`) is right there.

    Raises:
        Refusal: such a key stands above this one.
    """
    if reading.blocked_by is not None:
        raise Refusal(
            "%s cannot exist: %s above it is a key with a value, not a directory"
            % (key, reading.blocked_by),
            error=errors.EtcdNotDir,
        )


def _state(node: Node, children: bool) -> KeyState:
    below = node.walk()
    state = KeyState(*next(below)[1:])
    return state._replace(children=tuple(sorted(one[0] for one in below))) if children else state
