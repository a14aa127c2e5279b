# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was done to a cluster and what the cluster says of it: the records that are compared."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass, field


class Kind(enum.Enum):
    """What an operation does to its key."""

    WRITE = "write"
    APPEND = "append"
    REFRESH = "refresh"
    DELETE = "delete"
    READ = "read"


class Outcome(enum.Enum):
    """What was said of an operation."""

    DONE = "done, and the state was changed"
    UNCHANGED = "done, and there was nothing to change"
    NOT_DONE = "failed, and not carried out"
    UNKNOWN = "failed, and perhaps carried out"


@dataclass(frozen=True)
class Operation:
    """One operation of one client.

    Attributes:
        process: who did it; a process does one operation at a time.
        key: of an append, the directory.
        began, ended: seconds, of one clock for all.
        value: what was to be written, or was read; None where the key is to go, or was not there.
            Several processes may write the same value to one key.
        index: the modifiedIndex of its event; of a read, the store's index. None if not known.
        prev_index: of a deletion, the modifiedIndex that it was conditional on.
        declares: whether it declares a state and has no condition of its own. If its answer was lost
            and an equal write is found, it may say that the state was changed.
        settles: whether a lost answer is looked into before it is called unknown, as tasks do.
        ttl: seconds that the key is to live from now on; None for ever.
        made: of an append, the key that was made; None if not known.
        why: of a failure, the error.
    """

    process: str
    kind: Kind
    key: str
    began: float
    ended: float
    outcome: Outcome
    value: t.Optional[str] = None
    index: t.Optional[int] = None
    prev_index: t.Optional[int] = None
    settles: bool = False
    ttl: t.Optional[int] = None
    made: t.Optional[str] = None
    why: str = ""
    declares: bool = False

    def __str__(self) -> str:
        return "%s's %s of %s (%s) from %.3f to %.3f, %s%s" % (
            self.process,
            self.kind.value,
            self.key,
            self.value if self.kind is not Kind.DELETE else "at %s" % self.prev_index,
            self.began,
            self.ended,
            self.outcome.value,
            self.why and ": %s" % self.why,
        )


@dataclass(frozen=True)
class Event:
    """One change of the store, from the event history of a server.

    Attributes:
        value: of the key afterwards; None if it is gone.
        prev_index: the modifiedIndex of what it replaced; None if there was nothing. Two events
            are the same without it, since servers mix it up (see `hidden`).
        expired: whether its TTL ran out, which nobody's operation did.
        seen: when somebody had been told of it; it happened before. On the clock of the operations.
        hidden: whether some server does not tell it, although it tells later ones. One that has
            caught up from a snapshot while it ran mixes the events that it had with those of the
            snapshot: what an event does not have, it may have of the event a thousand before, the
            mark of a refresh, which nobody is told of, and what it replaced. (Observed.)
    """

    index: int
    key: str
    value: t.Optional[str]
    prev_index: t.Optional[int] = field(default=None, compare=False)
    expired: bool = False
    seen: t.Optional[float] = field(default=None, compare=False)
    hidden: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Watched:
    """What one watch showed: of the events from `since` to `until`, all there were below a key."""

    process: str
    key: str
    since: int
    until: int
    events: t.Tuple[Event, ...]


@dataclass(frozen=True)
class MemberChange:
    """What a task said of a member that is to be in the cluster, or is not to be in it."""

    peer_url: str
    present: bool
    outcome: Outcome
    began: float
    ended: float


@dataclass(frozen=True)
class MemberList:
    """The members as a server lists them that has caught up with the cluster."""

    endpoint: str
    peer_urls: t.Tuple[str, ...]


@dataclass(frozen=True)
class History:
    """All of it.

    Attributes:
        events: of the whole store, in their order.
        counters: keys whose values are JSON with a count ``n`` that each write makes one larger.
        final: what a quorum read showed at the end, each key with its value.
        ended: when that read began.
        clock_moved: whether the servers' clock did, by which they measure TTLs.
        membership: lists of the members, and changes to them, in their order; there are no two
            changes at a time.
    """

    operations: t.Tuple[Operation, ...]
    events: t.Tuple[Event, ...]
    final: t.Mapping[str, str]
    watched: t.Tuple[Watched, ...] = ()
    counters: t.Tuple[str, ...] = ()
    ended: float = 0.0
    clock_moved: bool = False
    membership: t.Tuple[t.Union[MemberChange, MemberList], ...] = ()


@dataclass(frozen=True)
class Violation:
    """Something that must not be: which rule, and what was seen."""

    rule: str
    what: str
