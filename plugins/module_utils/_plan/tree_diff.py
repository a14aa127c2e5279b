# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the diff of a directory with all that is below it shows. Pure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _diffs
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
)
from ansible_collections.quorum.etcd.plugins.module_utils._plan.tree_wish import Wish

States = t.Mapping[str, KeyState]


def states_before(first: States, actions: t.Iterable[KeyAction]) -> t.Dict[str, KeyState]:
    """What was there before the actions were carried out.

    That is what was read first, but for keys that another client has written since: an action that
    was planned again knows what it replaced.
    """
    before = dict(first)
    seen = set()  # type: t.Set[str]
    for action in actions:
        if action.key in seen:
            continue
        seen.add(action.key)
        if action.before is None:
            before.pop(action.key, None)
        else:
            before[action.key] = action.before
    return before


def states_after(
    before: States, actions: t.Iterable[KeyAction], wish: Wish
) -> t.Dict[str, KeyState]:
    """What is there once the actions are carried out; what only the server knows is left as it was."""
    after = dict(before)
    for action in actions:
        if action.kind in (ActionKind.DELETE, ActionKind.REMOVE_DIR):
            after.pop(action.key, None)
            continue
        is_dir = action.kind is ActionKind.MAKE_DIR
        after[action.key] = KeyState(
            None if is_dir else action.value, is_dir, action.ttl, None, 0, 0
        )
        above = action.key.rpartition("/")[0]
        while len(above) >= len(wish.path.rstrip("/")) and above and above not in after:
            after[above] = KeyState(None, True, None, None, 0, 0)
            above = above.rpartition("/")[0]
    return after


def diffs(
    before: States, after: States, wish: Wish, secret: t.Optional["re.Pattern[str]"] = None
) -> t.List[_diffs.Diff]:
    """What differs: one list of all keys that are shown in a line, then each other key on its own.

    Keys that are as they were are left out. Directories end in a slash. A key whose value has more
    than one line has its name above its diff, as Ansible shows a few lines around a change only.

    Args:
        secret: matches the keys, without the path, whose values are not shown.
    """
    start = len(wish.path.rstrip("/")) + 1
    old = []  # type: t.List[str]
    new = []  # type: t.List[str]
    single = []  # type: t.List[_diffs.Diff]
    for key in sorted(before.keys() | after.keys()):
        was, now = _shown(before.get(key)), _shown(after.get(key))
        if was == now:
            continue
        if secret is not None and secret.match(key[start:]):
            was, now = _without_secret(was, now)
        lines = _diffs.value_lines(was.value, now.value)
        if max(len(one) for one in lines) > 1:
            single.append(_diffs.key_diff(key, was.as_key(), now.as_key()))
            was, now = was.as_directory(), now.as_directory()
            lines = ([], [])
        old.extend(_listed(key, was, lines[0]))
        new.extend(_listed(key, now, lines[1]))
    listed = {
        "before_header": wish.path,
        "after_header": wish.path,
        "before": _diffs.text(old),
        "after": _diffs.text(new),
    }
    return ([listed] if old or new else []) + single


class _Shown(t.NamedTuple):
    """What a diff shows of a key; neither a value nor a directory is no such key."""

    value: t.Optional[str] = None
    is_dir: bool = False
    ttl: t.Optional[int] = None
    secret: t.Optional[str] = None

    def as_key(self) -> t.Optional[t.Dict[str, t.Any]]:
        """What `key_diff` takes."""
        return None if self.value is None else {"value": self.value, "ttl": self.ttl}

    def as_directory(self) -> "_Shown":
        """It, if it is a directory, and nothing otherwise."""
        return self if self.is_dir else _Shown()


def _shown(state: t.Optional[KeyState]) -> _Shown:
    return _Shown() if state is None else _Shown(state.value, state.is_dir, state.ttl)


def _without_secret(was: _Shown, now: _Shown) -> t.Tuple[_Shown, _Shown]:
    changed = None not in (was.value, now.value) and was.value != now.value
    words = ("(secret)", "(secret, changed)" if changed else "(secret)")
    return (
        was if was.value is None else was._replace(value=None, secret=words[0]),
        now if now.value is None else now._replace(value=None, secret=words[1]),
    )


def _listed(key: str, shown: _Shown, lines: t.Sequence[str]) -> t.List[str]:
    name = _diffs.printable(key)
    label = name.rstrip("/") + "/" if shown.is_dir else name
    found = [label] if shown.is_dir else []
    found += ["%s = %s" % (name, line) for line in lines]
    if shown.secret is not None:
        found.append("%s = %s" % (name, shown.secret))
    return found + _diffs.ttl_line(shown.ttl, label + " ")
