# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the diff of a directory with all that is below it shows. Pure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t

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


def listing(
    states: States,
    wish: Wish,
    secret: t.Optional["re.Pattern[str]"] = None,
    before: t.Optional[States] = None,
) -> str:
    """A line for each key, as a diff shows it: directories end in a slash, values are in JSON.

    Args:
        secret: matches the keys, without the path, whose values are not shown.
        before: the states that these follow; a secret that is another one then is marked.
    """
    start = len(wish.path.rstrip("/")) + 1
    lines = []
    for key in sorted(states):
        state = states[key]
        if state.is_dir:
            line = key.rstrip("/") + "/"
        elif secret is not None and secret.match(key[start:]):
            earlier = (before or {}).get(key, state)
            line = "%s = (secret%s)" % (key, "" if earlier.value == state.value else ", changed")
        else:
            line = "%s = %s" % (key, json.dumps(state.value, ensure_ascii=False))
        lines.append(line if state.ttl is None else "%s (ttl %d)" % (line, state.ttl))
    return "".join(line + "\n" for line in lines)
