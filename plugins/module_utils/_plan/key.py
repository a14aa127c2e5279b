# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding what a key needs: pure, no network, no clock.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import enum
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _limits, _values, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
    Refusal,
)


class Wanted(enum.Enum):
    """The `state` option."""

    PRESENT = "present"
    ABSENT = "absent"
    ENQUEUED = "enqueued"


class Refresh(enum.Enum):
    """The `refresh` option: when a TTL that is as wanted is set anew."""

    NEVER = "never"
    ALWAYS = "always"
    BELOW = "below"


class Wish(t.NamedTuple):
    """What a task says of a key.

    Attributes:
        value: text to store; None only with ABSENT.
        as_json: whether two texts are equal when they hold the same JSON.
        ttl: seconds; 0 for none; None to leave whatever there is.
        refresh_below: seconds, with Refresh.BELOW.
        prev_value, prev_index, prev_exist: conditions on what is there; None for none.
        slash: whether the task wrote the key with a slash at its end.
        guarded: whether a write is carried out only while what was read is still there.
    """

    key: str
    wanted: Wanted
    value: t.Optional[str] = None
    as_json: bool = False
    ttl: t.Optional[int] = None
    refresh: Refresh = Refresh.NEVER
    refresh_below: t.Optional[int] = None
    prev_value: t.Optional[str] = None
    prev_index: t.Optional[int] = None
    prev_exist: t.Optional[bool] = None
    slash: bool = False
    guarded: bool = True

    @property
    def sent_as(self) -> str:
        """The key as requests have it."""
        return self.key + "/" if self.slash else self.key

    @property
    def has_condition(self) -> bool:
        """Whether the task is to fail unless it finds what it says."""
        return not (self.prev_value is None and self.prev_index is None and self.prev_exist is None)


def wish_from_options(options: t.Mapping[str, t.Any]) -> Wish:
    """Read a task's options.

    Raises:
        Refusal: one of them is wrong, or they do not go together; nothing was sent.
        errors.ClientException: etcd cannot take the key, the value, the TTL or the index.
    """
    wanted = Wanted(options["state"])
    refresh = Refresh(options["refresh"])
    value = options["value"]
    key = _limits.canonical_key(options["key"])
    if key == "/" and wanted is not Wanted.ENQUEUED:
        raise Refusal('the key "/" is the root directory, which holds no value; name a key in it')
    if wanted is not Wanted.ABSENT and value is None:
        raise Refusal(
            'value is missing, or null; give the value to store (write "" for an empty one)'
        )
    if options["ttl"] is not None and options["ttl"] != 0:
        _limits.ttl_seconds(options["ttl"], "write 0 for a key that lives for ever")
    if options["prev_index"] is not None:
        _limits.index_number(options["prev_index"], "prev_index")
    _check_refresh(options, refresh)
    _check_combination(options, wanted)
    return Wish(
        key=key,
        wanted=wanted,
        value=None if value is None else _values.stored_text("value", value),
        as_json=_values.compares_as_json(value),
        ttl=options["ttl"],
        refresh=refresh,
        refresh_below=options["refresh_below"],
        prev_value=None
        if options["prev_value"] is None
        else _values.stored_text("prev_value", options["prev_value"]),
        prev_index=options["prev_index"],
        prev_exist=options["prev_exist"],
        slash=_limits.ends_in_slash(options["key"]),
        guarded=options["guarded"],
    )


def _check_refresh(options: t.Mapping[str, t.Any], refresh: Refresh) -> None:
    if refresh is not Refresh.NEVER and not options["ttl"]:
        raise Refusal("refresh: %s needs ttl, the seconds to live from now on" % refresh.value)
    below = options["refresh_below"]
    if (refresh is Refresh.BELOW) != (below is not None):
        raise Refusal("refresh: below and refresh_below go together; give both or neither")
    if below is not None and not 0 < below <= options["ttl"]:
        raise Refusal("refresh_below is a number of seconds from 1 up to ttl, not %s" % below)


def _check_combination(options: t.Mapping[str, t.Any], wanted: Wanted) -> None:
    compares = options["prev_value"] is not None or options["prev_index"] is not None
    conditional = compares or options["prev_exist"] is not None
    if conditional and not options["guarded"]:
        raise Refusal(
            "guarded: false writes whatever is there by then; leave out prev_value, prev_index and"
            " prev_exist, or write under a condition"
        )
    if wanted is Wanted.ENQUEUED and conditional:
        raise Refusal(
            "state: enqueued always makes a new key; leave out prev_value, prev_index and prev_exist"
        )
    if compares and options["prev_exist"] is False:
        raise Refusal(
            "prev_exist: false excludes prev_value and prev_index: a key that does not exist has"
            " neither"
        )


def plan(current: t.Optional[KeyState], wish: Wish) -> KeyAction:
    """What to write so that the key is as wished.

    Raises:
        Refusal: a condition does not hold, or a directory or file is in the way.
    """
    action = _planned(current, wish)
    return action._replace(
        slash=wish.slash, guarded=wish.guarded, exclusive=_is_exclusive(action.kind, wish)
    )


def _is_exclusive(kind: ActionKind, wish: Wish) -> bool:
    """Whether the task may succeed only if the write that is planned is the one that takes place.

    So it is where the user gave a condition, which of several equal writers only one can meet. A
    refresh leaves value and existence as they are, and with them every condition but the index.
    """
    if kind is ActionKind.REFRESH:
        return wish.prev_index is not None
    return kind is ActionKind.ENQUEUE or wish.has_condition


def _planned(current: t.Optional[KeyState], wish: Wish) -> KeyAction:
    if wish.wanted is Wanted.ENQUEUED:
        if current is not None and not current.is_dir:
            raise Refusal(
                "%s is a key with a value, and in-order keys are made below a directory" % wish.key,
                error=errors.EtcdNotDir,
            )
        return KeyAction(ActionKind.ENQUEUE, wish.key, None, wish.value, wish.ttl or None)
    if current is not None and current.is_dir:
        raise Refusal(
            "%s is a directory, not a key with a value; quorum.etcd.etcd_dir manages directories"
            % wish.key,
            error=errors.EtcdNotFile,
        )
    _check_conditions(current, wish)
    if wish.wanted is Wanted.ABSENT:
        kind = ActionKind.NOTHING if current is None else ActionKind.DELETE
        return KeyAction(kind, wish.key, current)
    return _present(current, wish)


def _present(current: t.Optional[KeyState], wish: Wish) -> KeyAction:
    if current is None:
        return KeyAction(ActionKind.CREATE, wish.key, None, wish.value, wish.ttl or None)
    if not _values.equal(current.value, wish.value, as_json=wish.as_json):
        ttl = wish.ttl or None
        if wish.ttl is None and current.ttl is not None:
            ttl = max(current.ttl, 1)
        return KeyAction(ActionKind.SWAP, wish.key, current, wish.value, ttl)
    if not _ttl_is_fine(current.ttl, wish):
        if wish.ttl == 0:
            # No refresh takes a TTL away; writing the same value again does.
            return KeyAction(ActionKind.SWAP, wish.key, current, current.value)
        return KeyAction(ActionKind.REFRESH, wish.key, current, current.value, wish.ttl)
    return KeyAction(ActionKind.NOTHING, wish.key, current, current.value, current.ttl)


def _ttl_is_fine(left: t.Optional[int], wish: Wish) -> bool:
    if wish.ttl is None:
        return True
    if wish.ttl == 0:
        return left is None
    if wish.refresh is Refresh.ALWAYS or left is None or not 0 < left <= wish.ttl:
        return False
    return wish.refresh is Refresh.NEVER or left >= (wish.refresh_below or 0)


def _check_conditions(current: t.Optional[KeyState], wish: Wish) -> None:
    failed = []
    if wish.prev_exist is True and current is None:
        failed.append("it does not exist, and prev_exist is true")
    if wish.prev_exist is False and current is not None:
        failed.append("it exists, and prev_exist is false")
    for name, expected, found in (
        ("prev_value", wish.prev_value, None if current is None else current.value),
        ("prev_index", wish.prev_index, None if current is None else current.modified_index),
    ):
        if expected is None or expected == found:
            continue
        if current is None:
            failed.append("it does not exist, and %s is given" % name)
        elif name == "prev_value":
            failed.append("its value is not prev_value")
        else:
            failed.append("its modified index is %s, and prev_index is %s" % (found, expected))
    if not failed:
        return
    error = errors.EtcdTestFailed  # type: t.Type[errors.EtcdException]
    if current is None:
        error = errors.EtcdKeyNotFound
    elif wish.prev_exist is False:
        error = errors.EtcdNodeExist
    raise Refusal(
        "%s is not as the task requires: %s" % (wish.key, "; ".join(failed)), current, error=error
    )


def state_after(action: KeyAction) -> t.Optional[t.Dict[str, t.Any]]:
    """Value and TTL of the key once the action is carried out; None: no such key."""
    if action.kind is ActionKind.DELETE:
        return None
    if action.kind is ActionKind.NOTHING:
        return state_before(action)
    return {"value": action.value, "ttl": action.ttl}


def state_before(action: KeyAction) -> t.Optional[t.Dict[str, t.Any]]:
    """Value and TTL of the key as it was found; None: no such key."""
    before = action.before
    if before is None:
        return None
    return {"value": before.value, "ttl": before.ttl}
