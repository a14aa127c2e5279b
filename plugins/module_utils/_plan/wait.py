# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding whether a wait is over: pure, no network, no clock.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import enum
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.quorum.etcd.plugins.module_utils import _limits, _values
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException
from ansible_collections.quorum.etcd.plugins.module_utils._results import (
    EtcdResult,
    Node,
    event_index,
)


class Condition(enum.Enum):
    """The `condition` option."""

    EXISTS = "exists"
    ABSENT = "absent"
    EQUALS = "equals"
    MATCHES = "matches"
    CHANGED = "changed"


#: What a wait that ended in vain says of the key.
_UNMET = {
    Condition.EXISTS: "did not come to exist",
    Condition.ABSENT: "was not removed",
    Condition.EQUALS: "did not get the value",
    Condition.MATCHES: "did not get a value that matches",
    Condition.CHANGED: "did not change",
}


@dataclass(frozen=True)
class Wish:
    """What a task waits for.

    Attributes:
        value: the text that the key is to have, with EQUALS.
        as_json: whether another text that holds the same JSON is the same value.
        pattern: what the value is to match, with MATCHES.
        since_index: events after this index of the store count, past ones too; None for those
            after the first read.
        recursive: with CHANGED, whether what is below the key counts.
        seconds: how long to wait.
        slash: whether the task wrote the key with a slash at its end.
    """

    key: str
    condition: Condition
    value: t.Optional[str] = None
    as_json: bool = False
    pattern: t.Optional[t.Pattern[str]] = None
    since_index: t.Optional[int] = None
    recursive: bool = False
    seconds: float = 300.0
    slash: bool = False

    @property
    def sent_as(self) -> str:
        """The key as all requests have it.

        Whoever may read all that is below /app by the pattern /app/* may read /app/, and not /app.
        """
        with_slash = (self.slash or self.recursive) and self.key != "/"
        return self.key + "/" if with_slash else self.key


#: Key, created index, modified index and value of a node.
Mark = t.Tuple[str, int, int, t.Optional[str]]


@dataclass(frozen=True)
class Sight:
    """The key as a read or an event showed it.

    Attributes:
        state: None if there is no such key. Its indexes are 0 where an event did not tell them.
        index: of the store at that moment.
        newest: the highest modified index of the node, and of all below it where the read was
            recursive.
        marks: what is known of each of them; a TTL that is set anew leaves them as they are.
    """

    state: t.Optional[KeyState]
    index: int
    newest: int = 0
    marks: t.FrozenSet[Mark] = frozenset()


def wish_from_options(options: t.Mapping[str, t.Any]) -> Wish:
    """Read a task's options.

    Raises:
        Refusal: one of them is wrong, or they do not go together; nothing was sent.
        errors.ClientException: etcd cannot take the key, the value or the index.
    """
    condition = Condition(options["condition"])
    key = _limits.canonical_key(options["key"])
    _check_combination(options, condition)
    if key == "/" and not options["recursive"]:
        raise Refusal(
            'the key "/" is the root directory, which is always there and holds no value; wait for'
            " a change below it with condition: changed and recursive: true"
        )
    if options["since_index"] is not None:
        _limits.index_number(options["since_index"], "since_index")
    _limits.seconds(options["wait_timeout"], "wait_timeout")
    value = options["value"]
    text = None if value is None else _values.stored_text("value", value)
    return Wish(
        key=key,
        condition=condition,
        value=text if condition is Condition.EQUALS else None,
        as_json=_values.compares_as_json(value),
        pattern=_pattern(value, text) if condition is Condition.MATCHES else None,
        since_index=options["since_index"],
        recursive=options["recursive"],
        seconds=options["wait_timeout"],
        slash=_limits.ends_in_slash(options["key"]),
    )


def _check_combination(options: t.Mapping[str, t.Any], condition: Condition) -> None:
    takes_value = condition in (Condition.EQUALS, Condition.MATCHES)
    if takes_value and options["value"] is None:
        raise Refusal(
            "condition: %s needs value, and it is missing or null; give %s"
            % (
                condition.value,
                'the value to wait for (write "" for an empty one)'
                if condition is Condition.EQUALS
                else "the regular expression that the value is to match",
            )
        )
    if not takes_value and options["value"] is not None:
        raise Refusal(
            "condition: %s takes no value; leave value out, or write condition: equals or"
            " condition: matches" % condition.value
        )
    if options["recursive"] and condition is not Condition.CHANGED:
        raise Refusal(
            "condition: %s is about the key itself; leave recursive out, or write condition:"
            " changed to wait for a change below it" % condition.value
        )


def _pattern(value: t.Any, text: t.Optional[str]) -> t.Optional[t.Pattern[str]]:
    if text is None or _values.compares_as_json(value):
        raise Refusal(
            "with condition: matches, value is a regular expression, so a string, not of type %s"
            % type(value).__name__
        )
    try:
        return re.compile(text)
    except re.error as exc:
        # The expression itself may be a secret, and is not shown.
        where = "" if exc.pos is None else " at character %d" % (exc.pos + 1)
        raise Refusal(
            "value is no regular expression as Python's re module reads them: %s%s"
            % (exc.msg, where)
        ) from exc
    except (OverflowError, RecursionError) as exc:
        raise Refusal("value is a regular expression that is too large or too deep") from exc


def check_since_index(wish: Wish, index: int) -> None:
    """Whether the store has come as far as the task says.

    Args:
        index: of the store.

    Raises:
        Refusal: it has not.
    """
    if wish.since_index is not None and wish.since_index > index:
        raise Refusal(
            "since_index is %d, and the store's index is %d; give an index that the store has"
            " reached, or leave since_index out to wait for what happens from now on"
            % (wish.since_index, index),
            error=ClientException,
        )


def watches_below(wish: Wish, first: Sight) -> bool:
    """Whether events below the key are needed.

    A directory that comes to exist because a key in it is written makes no event of its own.
    """
    if wish.condition is Condition.CHANGED:
        return wish.recursive or first.state is None
    return wish.condition is Condition.EXISTS


def sight_of(node: t.Optional[Node], index: int, *, recursive: bool = False) -> Sight:
    """What a read found; a node that is None was not found."""
    if node is None:
        return Sight(None, index)
    nodes = tuple(_all_nodes(node)) if recursive else (node,)
    return Sight(
        _state(node),
        index,
        max(one.modified_index or 0 for one in nodes),
        frozenset(_mark(one) for one in nodes),
    )


def _state(node: Node) -> KeyState:
    return KeyState(
        value=None if node.dir else node.value or "",
        is_dir=node.dir,
        ttl=node.ttl,
        expiration=node.expiration,
        created_index=node.created_index or 0,
        modified_index=node.modified_index or 0,
    )


def _all_nodes(node: Node) -> t.Iterator[Node]:
    yield node
    for child in node.nodes:
        yield from _all_nodes(child)


def _mark(node: Node) -> Mark:
    # The modified index rises with each refresh of a TTL, and a refresh is no event.
    modified = (node.modified_index or 0) if node.ttl is None else 0
    return node.key, node.created_index or 0, modified, node.value


def holds(wish: Wish, state: t.Optional[KeyState]) -> bool:
    """Whether a key in this state is what the task waits for; no state alone is a change."""
    if wish.condition is Condition.CHANGED:
        return False
    if wish.condition is Condition.ABSENT:
        return state is None
    if state is None:
        return False
    if wish.condition is Condition.EXISTS:
        return True
    if state.value is None:
        return False
    if wish.pattern is not None:
        return wish.pattern.search(state.value) is not None
    return _values.equal(state.value, wish.value, as_json=wish.as_json)


def changed_since_index(wish: Wish, now: Sight) -> bool:
    """Whether a read shows that something was written after `since_index`."""
    return wish.since_index is not None and now.newest > wish.since_index


def changed_meanwhile(wish: Wish, before: Sight, now: Sight) -> bool:
    """Whether something happened between two reads, where the server has forgotten the events.

    What came and went does not show, and neither does a write of the same value and a TTL.
    """
    if wish.condition is not Condition.CHANGED:
        return False
    return changed_since_index(wish, now) or before.marks != now.marks


def sight_of_event(wish: Wish, event: EtcdResult) -> t.Optional[Sight]:
    """The key after an event; None if the event has nothing to do with it.

    Such events come: the server takes the removal of a directory /a for one that concerns /ab, when
    it looks for events in the past (3.4 and 3.5: it compares without the slash).
    """
    node = event.node
    if node is None:
        return None
    index = event_index(event)
    if node.key == wish.key:
        return Sight(None if event.removed else _state(node), index)
    if _is_below(node.key, wish.key):
        return Sight(KeyState(None, True, None, None, 0, 0), index)
    if event.removed and _is_below(wish.key, node.key):
        return Sight(None, index)
    return None


def _is_below(key: str, directory: str) -> bool:
    return key.startswith(directory.rstrip("/") + "/")


def ends_wait(wish: Wish, before: t.Optional[KeyState], event: EtcdResult, now: Sight) -> bool:
    """Whether an event is what the task waits for.

    Args:
        before: the key as it was last seen.
        now: the key after the event, from `sight_of_event`.
    """
    if wish.condition is not Condition.CHANGED:
        return holds(wish, now.state)
    if wish.recursive or event.node is None or not _is_below(event.node.key, wish.key):
        return True
    return before is None


def in_vain(wish: Wish, last: t.Optional[KeyState]) -> str:
    """What a wait that ended without its condition says; no value is in it, it may be a secret."""
    said = "%s %s within %s seconds (wait_timeout)" % (
        wish.key,
        _UNMET[wish.condition],
        ("%.3f" % wish.seconds).rstrip("0").rstrip("."),
    )
    if last is None and wish.condition is Condition.EXISTS:
        return said
    if last is None:
        return said + "; it does not exist"
    if last.is_dir:
        return said + "; it is a directory"
    return said + "; the value that it has is in the result"
