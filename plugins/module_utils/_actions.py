# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan decides, and the states that it decides between.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import enum
import typing as t


class KeyState(t.NamedTuple):
    """A key or directory as a quorum read found it.

    Attributes:
        value: None for a directory.
        ttl: seconds left, 0 for one that is about to be swept, None without a TTL.
        children: full keys of a directory's children, or of all below it where the read was
            recursive; without hidden ones, which the server does not list.
    """

    value: t.Optional[str]
    is_dir: bool
    ttl: t.Optional[int]
    expiration: t.Optional[str]
    created_index: int
    modified_index: int
    children: t.Tuple[str, ...] = ()


class ActionKind(enum.Enum):
    """The writes that there are."""

    NOTHING = "nothing"
    CREATE = "create"
    SWAP = "swap"
    REFRESH = "refresh"
    DELETE = "delete"
    ENQUEUE = "enqueue"
    MAKE_DIR = "make_dir"
    SET_DIR_TTL = "set_dir_ttl"
    REMOVE_DIR = "remove_dir"


class KeyAction(t.NamedTuple):
    """One write to one key or directory, with the state that it was planned on.

    Attributes:
        before: what the quorum read found; a guarded write is carried out only while that holds.
            None: no such key.
        value: the value to write (CREATE, SWAP, ENQUEUE).
        ttl: seconds to live after the write, None for ever.
        recursive: with all that is below it (REMOVE_DIR).
        then: what follows once this write is carried out; both are one change.
        slash: whether the task wrote the key with a slash at its end.
        guarded: whether CREATE, SWAP and DELETE carry the condition that `before` still holds. Off,
            they are a plain set or delete. The other kinds do not look at it.
        exclusive: whether the task may succeed only if this very write was carried out, as one with
            a condition of the user must; an equal write by another client will not do.
    """

    kind: ActionKind
    key: str
    before: t.Optional[KeyState]
    value: t.Optional[str] = None
    ttl: t.Optional[int] = None
    recursive: bool = False
    then: t.Optional["KeyAction"] = None
    slash: bool = False
    guarded: bool = True
    exclusive: bool = False

    @property
    def changes(self) -> bool:
        return self.kind is not ActionKind.NOTHING

    @property
    def sent_as(self) -> str:
        """The key as requests have it: with a slash where the task wrote one, or with all below it.

        The store takes both for one key; permissions tell them apart.
        """
        with_slash = (self.slash or self.recursive) and self.key != "/"
        return self.key + "/" if with_slash else self.key


class Refusal(Exception):
    """A task that must fail without a write; the message says why and what to do.

    Attributes:
        state: what was found, if the task's failure should show it.
        error: the class of `errors` that says the same of the cluster; None: there is none.
    """

    def __init__(
        self,
        message: str,
        state: t.Optional[KeyState] = None,
        *,
        error: t.Optional[t.Type[Exception]] = None,
    ) -> None:
        super().__init__(message)
        self.state = state
        self.error = error


class Incomplete(Exception):
    """A change that takes several steps stopped half way; the message says where.

    Raised from the error that stopped it.

    Attributes:
        changed: whether a step that changes the cluster was carried out.
        report: what else the failed task returns.
    """

    def __init__(
        self, message: str, *, changed: bool, report: t.Optional[t.Mapping[str, t.Any]] = None
    ) -> None:
        super().__init__(message)
        self.changed = changed
        self.report = dict(report or {})


class InVain(Exception):
    """A wait whose time ran out; the message says what was waited for.

    Raised from the error of the cluster where that is why.

    Attributes:
        report: what the task returns of it, the last that was seen of the key in it.
    """

    def __init__(self, message: str, report: t.Mapping[str, t.Any]) -> None:
        super().__init__(message)
        self.report = report
