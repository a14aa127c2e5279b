# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding what a directory needs: pure, no network, no clock.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.quorum.etcd.plugins.module_utils import _diffs, _limits, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
    Refusal,
)

#: How many keys a diff lists of what a recursive removal takes away.
LISTED = 100


@dataclass(frozen=True)
class Wish:
    """What a task says of a directory.

    Attributes:
        present: whether it is to exist.
        ttl: seconds; 0 for none; None to leave whatever there is.
        recursive: remove it with what is below it.
        force: replace a key with a value by it.
        prev_index: the modified index that must be there; None for any.
        slash: whether the task wrote the path with a slash at its end.
    """

    path: str
    present: bool
    ttl: t.Optional[int] = None
    recursive: bool = False
    force: bool = False
    prev_index: t.Optional[int] = None
    slash: bool = False

    @property
    def sent_as(self) -> str:
        """The path as requests have it."""
        return self.path + "/" if self.slash else self.path


def wish_from_options(options: t.Mapping[str, t.Any]) -> Wish:
    """Read a task's options.

    Raises:
        Refusal: the path is the root directory; nothing was sent.
        errors.ClientException: etcd cannot take the path, the TTL or the index.
    """
    path = _limits.canonical_key(options["path"])
    if path == "/":
        raise Refusal('the path "/" is the root directory, which always exists; name one in it')
    if options["ttl"] is not None and options["ttl"] != 0:
        _limits.ttl_seconds(options["ttl"], "write 0 for a directory that lives for ever")
    if options["prev_index"] is not None:
        _limits.index_number(options["prev_index"], "prev_index")
    return Wish(
        path=path,
        present=options["state"] == "present",
        ttl=options["ttl"],
        recursive=options["recursive"],
        force=options["force"],
        prev_index=options["prev_index"],
        slash=_limits.ends_in_slash(options["path"]),
    )


def can_set_ttl(version: str) -> bool:
    """Whether a server of this version can change the TTL of an existing directory.

    3.4.23 does. 3.5.1 answers 500 "Not a file", and every 3.5 release has the same code.
    """
    numbers = version.split(".")
    if len(numbers) < 2 or not (numbers[0].isdecimal() and numbers[1].isdecimal()):
        return True
    return (int(numbers[0]), int(numbers[1])) < (3, 5)


def plan(current: t.Optional[KeyState], wish: Wish) -> KeyAction:
    """What to write so that the directory is as wished.

    Raises:
        Refusal: a key with a value is in the way, the directory is not empty, or it is another
            one than prev_index says.
    """
    if wish.prev_index is not None and (
        current is None or current.modified_index != wish.prev_index
    ):
        found = "it does not exist" if current is None else "it is %s" % current.modified_index
        raise Refusal(
            "%s is not as the task requires: its modified index is to be %s, and %s"
            % (wish.path, wish.prev_index, found),
            current,
            error=errors.EtcdKeyNotFound if current is None else errors.EtcdTestFailed,
        )
    action = _present(current, wish) if wish.present else _absent(current, wish)
    if wish.slash:
        then = None if action.then is None else action.then._replace(slash=True)
        action = action._replace(slash=True, then=then)
    return action._replace(exclusive=wish.prev_index is not None)


def _present(current: t.Optional[KeyState], wish: Wish) -> KeyAction:
    ttl = wish.ttl or None
    if current is None:
        return KeyAction(ActionKind.MAKE_DIR, wish.path, None, ttl=ttl)
    if not current.is_dir:
        if not wish.force:
            raise Refusal(
                "%s is a key with a value; force: true replaces it by a directory, and its value"
                " is lost" % wish.path,
                error=errors.EtcdNotDir,
            )
        make = KeyAction(ActionKind.MAKE_DIR, wish.path, None, ttl=ttl)
        return KeyAction(ActionKind.DELETE, wish.path, current, ttl=ttl, then=make)
    if ttl_is_fine(current.ttl, wish.ttl):
        return KeyAction(ActionKind.NOTHING, wish.path, current, ttl=current.ttl)
    return KeyAction(ActionKind.SET_DIR_TTL, wish.path, current, ttl=ttl)


def ttl_is_fine(left: t.Optional[int], wanted: t.Optional[int]) -> bool:
    """Whether the seconds that are left, None for ever, are what is wished (as in `Wish.ttl`)."""
    if wanted is None:
        return True
    if wanted == 0:
        return left is None
    return left is not None and 0 < left <= wanted


def _absent(current: t.Optional[KeyState], wish: Wish) -> KeyAction:
    if current is None:
        return KeyAction(ActionKind.NOTHING, wish.path, None)
    if not current.is_dir:
        raise Refusal(
            "%s is a key with a value, not a directory; quorum.etcd.etcd_key removes keys"
            % wish.path,
            error=errors.EtcdNotDir,
        )
    if current.children and not wish.recursive:
        raise Refusal(
            "%s is not empty: it has %d children (hidden ones, which the server does not list, not"
            " counted); recursive: true removes them too" % (wish.path, len(current.children)),
            error=errors.EtcdDirNotEmpty,
        )
    return KeyAction(ActionKind.REMOVE_DIR, wish.path, current, recursive=wish.recursive)


def state_before(action: KeyAction) -> t.Union[str, t.Dict[str, t.Any]]:
    """What a diff shows of the time before; {}: nothing was there; a text: a key with a value."""
    before = action.before
    if before is None:
        return {}
    if not before.is_dir:
        lines = _diffs.value_lines(before.value, None)[0]
        return _diffs.text(lines + _diffs.ttl_line(before.ttl))
    shown = {"dir": True, "ttl": before.ttl}  # type: t.Dict[str, t.Any]
    if action.kind is ActionKind.REMOVE_DIR and before.children:
        shown["children"] = list(before.children[:LISTED])
        if len(before.children) > LISTED:
            shown["more_children"] = len(before.children) - LISTED
    return shown


def state_after(action: KeyAction) -> t.Dict[str, t.Any]:
    """What a diff shows of the time after; {}: nothing is there."""
    if action.kind is ActionKind.REMOVE_DIR:
        return {}
    if action.kind is ActionKind.NOTHING and action.before is None:
        return {}
    return {"dir": True, "ttl": action.ttl}
