# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says of a directory with all that is below it: reading its options. Pure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _limits, _patterns, _values
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal


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
        purge_limit: how many keys and directories may be removed that the tree does not name; None for
            any number.
        kept: matches the keys below the path, without it, that are never removed; None for none.
        force: replace directories by values and values by directories.
        hidden: whether hidden keys are managed too.
        slash: whether the task wrote the path with a slash at its end.
        guarded: whether keys are written only while what was read is still there.
    """

    path: str
    present: bool
    leaves: t.Mapping[str, Leaf]
    directories: t.Mapping[str, t.Optional[int]]
    everything: bool = False
    purge: bool = False
    purge_limit: t.Optional[int] = None
    kept: t.Optional["re.Pattern[str]"] = None
    force: bool = False
    hidden: bool = False
    slash: bool = False
    guarded: bool = True


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
    return checked_wish(options, path, leaves, directories, everything=tree is None)


def checked_wish(
    options: t.Mapping[str, t.Any],
    path: str,
    leaves: t.Mapping[str, Leaf],
    directories: t.Mapping[str, t.Optional[int]],
    *,
    everything: bool = False,
) -> Wish:
    """The wish with these keys, whatever told them, and the options that all wishes have.

    Raises:
        Refusal: the options do not go together.
    """
    for name in ("purge_exclude", "purge_limit"):
        if options[name] not in (None, []) and not options["purge"] and not everything:
            raise Refusal("%s needs purge: true; without it nothing is removed" % name)
    if options["purge_all"] and not options["purge"]:
        raise Refusal("purge_all needs purge: true; without it nothing is removed")
    if (options["purge_limit"] or 0) < 0:
        raise Refusal("purge_limit is a number of keys from 0, not %d" % options["purge_limit"])
    if options["purge"] and not leaves and not options["purge_all"]:
        raise Refusal(
            "the tree holds no key with a value, so purge: true would remove every key below %s; give"
            " the keys that are to stay, or write purge_all: true if none is to" % path
        )
    if options["on_conflict"] == "fail" and not options["guarded"]:
        raise Refusal(
            "guarded: false does not notice that another client changes a key; on_conflict: fail"
            " needs guarded: true"
        )
    wish = Wish(
        path=path,
        present=options["state"] == "present",
        leaves=leaves,
        directories=directories,
        everything=everything,
        purge=options["purge"],
        purge_limit=options["purge_limit"],
        kept=_patterns.matcher(options["purge_exclude"]),
        force=options["force"],
        hidden=options["include_hidden"],
        slash=_limits.ends_in_slash(options["path"]),
        guarded=options["guarded"],
    )
    if not wish.hidden and hidden_keys(wish):
        raise Refusal(
            "%s is hidden, as every name that starts with an underscore; include_hidden: true"
            " manages hidden keys too" % hidden_keys(wish)[0]
        )
    return wish


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
