# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding what a directory needs with all that is below it: pure, no network, no clock.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._plan import dir as dir_plan
from ansible_collections.quorum.etcd.plugins.module_utils._plan import key as key_plan
from ansible_collections.quorum.etcd.plugins.module_utils._plan.tree_wish import Wish

#: How many keys a message names.
_NAMED = 5

States = t.Mapping[str, KeyState]
Stage = t.Tuple[KeyAction, ...]


def plan(current: States, wish: Wish, done: t.Iterable[KeyAction] = ()) -> t.Tuple[Stage, ...]:
    """What to write so that the tree is as wished, in stages.

    The actions of a stage do not need each other, and each stage needs the ones before: what is in
    the way goes; directories are made, those above first; keys are written; what is not wished goes,
    the deepest first.

    Args:
        current: all that is at the path and below it, by full key.
        done: what was carried out already of an earlier plan for the same wish.

    Raises:
        Refusal: a directory stands where a value is wished or the other way round, and `force` is
            off (below a key with a value, all is absent already); more would be removed than
            purge_limit says; or what is kept stands below something that has to go.
    """
    order = sorted(current)
    replaced = _replaced(current, order, wish)
    going = set()  # type: t.Set[str]
    if wish.purge or not wish.present:
        going = _unwished(current, order, wish, replaced)
        _check_limit(going, wish, done)
    if wish.present:
        stages = _removal(current, replaced, wish) + _made(current, replaced, wish)
        stages.append(_written(current, replaced, wish))
        stages += _removal(current, going, wish)
    else:
        stages = _removal(current, going | replaced, wish)
    if wish.slash:
        stages = [tuple(_with_slash(action, wish) for action in stage) for stage in stages]
    return tuple(stage for stage in stages if stage)


def _with_slash(action: KeyAction, wish: Wish) -> KeyAction:
    return action._replace(slash=True) if action.key == wish.path else action


def _replaced(current: States, order: t.Sequence[str], wish: Wish) -> t.Set[str]:
    """What has to go because it is a directory and not a value, or a value and not a directory."""
    wrong = set()
    for key in order:
        if key in (wish.leaves if current[key].is_dir else wish.directories):
            if not _is_absent_below(current, key, wish):
                wrong.add(key)
    if not wrong:
        return wrong
    if not wish.force:
        reasons = ["%s is a %s" % (key, _KINDS[current[key].is_dir]) for key in sorted(wrong)]
        if len(reasons) > _NAMED:
            reasons[_NAMED:] = ["and %d more" % (len(reasons) - _NAMED)]
        first = current[min(wrong)]
        raise Refusal(
            "%s; force: true replaces what is there, and it is lost" % "; ".join(reasons),
            error=errors.EtcdNotFile if first.is_dir else errors.EtcdNotDir,
        )
    gone = set(wrong)
    for key in order:
        if key.rpartition("/")[0] in gone:
            if _is_kept(key, wish):
                raise Refusal(
                    "purge_exclude keeps %s, and a directory above it is to be replaced by a value"
                    % key
                )
            gone.add(key)
    return gone


def _is_absent_below(current: States, key: str, wish: Wish) -> bool:
    """Whether all that the tree names below a key is absent because that key holds a value."""
    return (
        not wish.present
        and not current[key].is_dir
        and any(named.startswith(key + "/") for named in (*wish.leaves, *wish.directories))
    )


_KINDS = {
    True: "directory, and the tree has a value there",
    False: "key with a value, and the tree has a directory there",
}


def _is_kept(key: str, wish: Wish) -> bool:
    return wish.kept is not None and bool(wish.kept.match(key[len(wish.path.rstrip("/")) + 1 :]))


def _unwished(
    current: States, order: t.Sequence[str], wish: Wish, replaced: t.Set[str]
) -> t.Set[str]:
    """What has to go because it is not wished (any more); a directory only with all it holds."""
    kept = set()
    if wish.kept is not None:
        for key in order:
            if key.rpartition("/")[0] in kept or (key != wish.path and _is_kept(key, wish)):
                kept.add(key)
    going = set()
    holding = set()
    for key in reversed(order):
        named = key in wish.leaves or key in wish.directories
        goes = not named if wish.present else named or wish.everything
        if not current[key].is_dir and key in wish.directories:
            # It holds a value, and so is none of the directories that are to go.
            goes = False
        if key in replaced:
            continue
        if goes and key not in kept and key not in holding and key != "/":
            going.add(key)
        else:
            holding.add(key.rpartition("/")[0] or "/")
    return going


def _check_limit(going: t.Set[str], wish: Wish, done: t.Iterable[KeyAction]) -> None:
    if wish.purge_limit is None:
        return
    gone = {action.key for action in done if _is_purge(action, wish)}
    count = len(going | gone)
    if count > wish.purge_limit:
        examples = ", ".join(sorted(going)[:_NAMED])
        raise Refusal(
            "%d keys and directories would be removed, and purge_limit is %d (%s%s); check that the"
            " tree is what it should be, or raise the limit"
            % (count, wish.purge_limit, examples, ", ..." if len(going) > _NAMED else "")
        )


def _is_purge(action: KeyAction, wish: Wish) -> bool:
    """Whether an action removed what the tree does not name, and not to make place for a value."""
    if action.kind not in (ActionKind.DELETE, ActionKind.REMOVE_DIR):
        return False
    if not wish.present:
        return True
    above = action.key
    while above:
        if above in wish.leaves:
            return False
        above = above.rpartition("/")[0]
    return action.key not in wish.directories


def _removal(current: States, keys: t.Set[str], wish: Wish) -> t.List[Stage]:
    """Values first, then the directories that held them, the deepest first."""
    values = tuple(
        KeyAction(ActionKind.DELETE, key, current[key], guarded=wish.guarded)
        for key in sorted(keys)
        if not current[key].is_dir
    )
    by_depth = {}  # type: t.Dict[int, t.List[KeyAction]]
    for key in sorted(keys):
        if current[key].is_dir:
            action = KeyAction(ActionKind.REMOVE_DIR, key, current[key], recursive=wish.hidden)
            by_depth.setdefault(key.count("/"), []).append(action)
    return [values] + [tuple(by_depth[depth]) for depth in sorted(by_depth, reverse=True)]


def _made(current: States, replaced: t.Set[str], wish: Wish) -> t.List[Stage]:
    """The directories that no key below them brings about, or that get a TTL of their own."""
    parents = {key.rpartition("/")[0] for key in wish.leaves}
    parents.update(key.rpartition("/")[0] for key in wish.directories)
    by_depth = {}  # type: t.Dict[int, t.List[KeyAction]]
    for key in sorted(wish.directories):
        ttl = wish.directories[key]
        there = key in current and key not in replaced
        if not there and key != "/" and (ttl or key not in parents):
            action = dir_plan.plan(None, dir_plan.Wish(key, True, ttl))
            by_depth.setdefault(key.count("/"), []).append(action)
    return [tuple(by_depth[depth]) for depth in sorted(by_depth)]


def _written(current: States, replaced: t.Set[str], wish: Wish) -> Stage:
    actions = []
    for key in sorted(wish.leaves):
        leaf = wish.leaves[key]
        found = None if key in replaced else current.get(key)
        if found is not None and found.value == leaf.value and leaf.ttl is None:
            continue
        action = key_plan.plan(
            found,
            key_plan.Wish(
                key,
                key_plan.Wanted.PRESENT,
                leaf.value,
                leaf.as_json,
                leaf.ttl,
                guarded=wish.guarded,
            ),
        )
        if action.changes:
            actions.append(action)
    return tuple(actions)
