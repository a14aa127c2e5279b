# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deciding what a directory needs with all that is below it: pure, no network, no clock.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import fnmatch
import json
import re
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _backups, _limits, _values
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._plan import dir as dir_plan
from ansible_collections.quorum.etcd.plugins.module_utils._plan import key as key_plan

#: How many keys a message names.
_NAMED = 5

States = t.Mapping[str, KeyState]
Stage = t.Tuple[KeyAction, ...]


class Leaf(t.NamedTuple):
    """A key with a value that is wished.

    Attributes:
        value: None where the key is to be absent.
        as_json: whether two texts are equal when they hold the same JSON.
        ttl: seconds; 0 for none; None to leave whatever there is.
    """

    value: t.Optional[str]
    as_json: bool = False
    ttl: t.Optional[int] = None


class Wish(t.NamedTuple):
    """What a task says of a tree.

    Attributes:
        path: the directory that the tree stands for.
        present: whether what the tree names is to exist.
        leaves: full key -> its value.
        directories: full key -> seconds that it lives if it is made anew, as of a leaf; `path` is one
            of them. One that exists keeps its TTL: etcd 3.5 cannot change it.
        everything: with `present` off, remove all that is below the path, named or not.
        purge: remove what the tree does not name.
        kept: matches the keys below the path, without it, that are never removed; None for none.
        force: replace directories by values and values by directories.
        hidden: whether hidden keys are managed too.
    """

    path: str
    present: bool
    leaves: t.Mapping[str, Leaf]
    directories: t.Mapping[str, t.Optional[int]]
    everything: bool = False
    purge: bool = False
    kept: t.Optional["re.Pattern[str]"] = None
    force: bool = False
    hidden: bool = False


def wish_from_options(options: t.Mapping[str, t.Any], tree: t.Any) -> Wish:
    """Read a task's options and its tree.

    Args:
        tree: names to values and mappings, from `tree` or `src`; None where neither is given.

    Raises:
        Refusal: one of them is wrong, or they do not go together; nothing was sent.
        errors.ClientException: etcd cannot take the path, a name, a value or the TTL.
    """
    path = _limits.canonical_key(options["path"])
    present = options["state"] == "present"
    if tree is None and present:
        raise Refusal("tree is missing; give the mapping that is to be there ({} for nothing)")
    if not isinstance(tree, dict) and tree is not None:
        raise Refusal(
            "the tree is %s; it is a mapping of names to values and to further mappings"
            % ("a list" if isinstance(tree, list) else "one value")
        )
    if tree is None and path == "/":
        raise Refusal(
            'state: absent without tree would remove the whole store below "/"; name a directory, or'
            " the tree that is to go"
        )
    if options["purge"] and not present:
        raise Refusal("purge is for state: present; state: absent without tree removes everything")
    if options["ttl"] is not None and options["ttl"] != 0:
        _limits.ttl_seconds(options["ttl"], "write 0 for keys that live for ever")
    leaves, directories = _flattened(path, tree or {}, options, present=present)
    return _wish(options, path, leaves, directories, everything=tree is None)


def wish_from_backup(options: t.Mapping[str, t.Any], backup: _backups.Backup) -> Wish:
    """Read a task's options, and what a backup holds at the path and below it.

    Every key has the TTL that it had when the backup was made, or none.

    Raises:
        Refusal: the options do not go together, or the backup does not hold such a directory.
        errors.ClientException: etcd cannot take the path.
    """
    path = _limits.canonical_key(options["path"])
    if options["state"] != "present":
        raise Refusal("src_format: backup is for state: present; leave one of the two out")
    if options["ttl"] is not None or options["leaf_json"] or options["leaf_json_depth"] is not None:
        raise Refusal(
            "ttl and leaf_json are not for src_format: backup, which tells both; leave them out"
        )
    if path not in backup.nodes or backup.nodes[path].value is not None:
        raise Refusal(
            "the backup is of %s, and holds no directory %s; give the path of one that it holds"
            % (backup.path, path)
        )
    leaves = {}  # type: t.Dict[str, Leaf]
    directories = {path: backup.nodes[path].ttl or 0}  # type: t.Dict[str, t.Optional[int]]
    for key, saved in backup.nodes.items():
        if key.startswith(path.rstrip("/") + "/") and key != path:
            ttl = saved.ttl or 0
            if saved.value is None:
                directories[key] = ttl
            else:
                leaves[key] = Leaf(saved.value, False, ttl)
    return _wish(options, path, leaves, directories)


def _wish(
    options: t.Mapping[str, t.Any],
    path: str,
    leaves: t.Mapping[str, Leaf],
    directories: t.Mapping[str, t.Optional[int]],
    *,
    everything: bool = False,
) -> Wish:
    if options["purge_exclude"] and not options["purge"] and not everything:
        raise Refusal("purge_exclude needs purge: true; without it nothing is removed")
    wish = Wish(
        path=path,
        present=options["state"] == "present",
        leaves=leaves,
        directories=directories,
        everything=everything,
        purge=options["purge"],
        kept=matcher(options["purge_exclude"]),
        force=options["force"],
        hidden=options["include_hidden"],
    )
    if not wish.hidden and hidden_keys(wish):
        raise Refusal(
            "%s is hidden, as every name that starts with an underscore; include_hidden: true"
            " manages hidden keys too" % hidden_keys(wish)[0]
        )
    return wish


def matcher(patterns: t.Optional[t.Sequence[str]]) -> t.Optional["re.Pattern[str]"]:
    """What matches all that one of these shell patterns does; None for no patterns.

    A star stands for any characters, slashes too; a leading slash of a pattern is dropped.
    """
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(one.lstrip("/")) for one in patterns))


def _json_depth(options: t.Mapping[str, t.Any]) -> int:
    """How many names below the path a mapping is a value; 0 for nowhere."""
    depth = options["leaf_json_depth"]
    if depth is None:
        return 1 if options["leaf_json"] else 0
    if options["leaf_json"]:
        raise Refusal("leaf_json: true means leaf_json_depth: 1; give one of the two")
    if depth < 1:
        raise Refusal(
            "leaf_json_depth is how many names below path a mapping is stored as JSON, 1 for those"
            " right below it, not %s" % depth
        )
    return int(depth)


def _flattened(
    path: str, tree: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any], *, present: bool
) -> t.Tuple[t.Dict[str, Leaf], t.Dict[str, t.Optional[int]]]:
    """Every key of the tree in full: those with values, and the directories."""
    json_depth = _json_depth(options)
    ttl = options["ttl"]
    leaves = {}  # type: t.Dict[str, Leaf]
    directories = {path: None}  # type: t.Dict[str, t.Optional[int]]
    todo = [(path.rstrip("/"), tree, 1)]
    while todo:
        prefix, mapping, depth = todo.pop()
        for name, value in mapping.items():
            key = "%s/%s" % (prefix, _checked_name(name, prefix))
            if isinstance(value, dict) and depth != json_depth:
                directories[key] = None
                todo.append((key, value, depth + 1))
            elif not present:
                leaves[key] = Leaf(None)
            elif value is None:
                raise Refusal(
                    '%s has no value (null); give the value to store (write "" for an empty one, {}'
                    " for an empty directory)" % key
                )
            else:
                text = _values.stored_text("the value of %s" % key, value)
                leaves[key] = Leaf(text, _values.compares_as_json(value), ttl)
    return leaves, directories


def _checked_name(name: str, prefix: str) -> str:
    if not name or "/" in name or name in (".", ".."):
        raise Refusal(
            "%s below %s cannot be the name of a key: a name is not empty, not . or .., and holds no"
            " slash; nest mappings for directories" % (_limits.shown(name), prefix or "/")
        )
    if not name.isascii():
        _limits.text_bytes(name, "the name %s below %s" % (_limits.shown(name), prefix or "/"))
    return name


def hidden_keys(wish: Wish) -> t.List[str]:
    """The keys of the tree whose own name is hidden: the server lists them nowhere."""
    start = len(wish.path.rstrip("/"))
    found = set()
    for keys in (wish.leaves, wish.directories):
        for key in keys:
            at = key.find("/_", start)
            while at >= 0:
                end = key.find("/", at + 1)
                found.add(key if end < 0 else key[:end])
                at = key.find("/_", at + 1)
    return sorted(found)


def plan(current: States, wish: Wish) -> t.Tuple[Stage, ...]:
    """What to write so that the tree is as wished, in stages.

    The actions of a stage do not need each other, and each stage needs the ones before: what is in
    the way goes; directories are made, those above first; keys are written; what is not wished goes,
    the deepest first.

    Args:
        current: all that is at the path and below it, by full key.

    Raises:
        Refusal: a directory stands where a value is wished or the other way round, and `force` is
            off; or what is kept stands below something that has to go.
    """
    order = sorted(current)
    replaced = _replaced(current, order, wish)
    if wish.present:
        going = _unwished(current, order, wish, replaced) if wish.purge else set()
        stages = _removal(current, replaced, wish) + _made(current, replaced, wish)
        stages.append(_written(current, replaced, wish))
        stages += _removal(current, going, wish)
    else:
        stages = _removal(current, _unwished(current, order, wish, replaced) | replaced, wish)
    return tuple(stage for stage in stages if stage)


def _replaced(current: States, order: t.Sequence[str], wish: Wish) -> t.Set[str]:
    """What has to go because it is a directory and not a value, or a value and not a directory."""
    wrong = set()
    for key in order:
        if key in (wish.leaves if current[key].is_dir else wish.directories):
            wrong.add(key)
    if not wrong:
        return wrong
    if not wish.force:
        reasons = ["%s is a %s" % (key, _KINDS[current[key].is_dir]) for key in sorted(wrong)]
        if len(reasons) > _NAMED:
            reasons[_NAMED:] = ["and %d more" % (len(reasons) - _NAMED)]
        raise Refusal("%s; force: true replaces what is there, and it is lost" % "; ".join(reasons))
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
        if key in replaced:
            continue
        if goes and key not in kept and key not in holding and key != "/":
            going.add(key)
        else:
            holding.add(key.rpartition("/")[0] or "/")
    return going


def _removal(current: States, keys: t.Set[str], wish: Wish) -> t.List[Stage]:
    """Values first, then the directories that held them, the deepest first."""
    values = tuple(
        KeyAction(ActionKind.DELETE, key, current[key])
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
            found, key_plan.Wish(key, key_plan.Wanted.PRESENT, leaf.value, leaf.as_json, leaf.ttl)
        )
        if action.changes:
            actions.append(action)
    return tuple(actions)


def directories_with_another_ttl(current: States, wish: Wish) -> t.List[str]:
    """Directories that exist, and keep a TTL (or none) that is not the one that is wished."""
    return [
        key
        for key in sorted(wish.directories)
        if key in current
        and current[key].is_dir
        and not dir_plan.ttl_is_fine(current[key].ttl, wish.directories[key])
    ]


def states_after(current: States, stages: t.Iterable[Stage], wish: Wish) -> t.Dict[str, KeyState]:
    """What is there once the actions are carried out; what only the server knows is left as it was."""
    after = dict(current)
    for stage in stages:
        for action in stage:
            if action.kind in (ActionKind.DELETE, ActionKind.REMOVE_DIR):
                del after[action.key]
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
