# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_tree does.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import (
    _backups,
    _batch,
    _carry_out,
    _documents,
    _files,
    _limits,
    _patterns,
    _reading,
    errors,
)
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    Incomplete,
    KeyAction,
    KeyState,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._plan import tree as tree_plan
from ansible_collections.quorum.etcd.plugins.module_utils._plan import (
    tree_diff,
    tree_restore,
    tree_wish,
)

#: What the request of a key or value below this length cannot exceed, however it is encoded.
_SAFE_KEY = 300
_SAFE_VALUE = 800000

#: How many keys a warning names.
_NAMED = 5

#: What each kind of action is counted as.
_COUNTED = {
    ActionKind.CREATE: "created",
    ActionKind.SWAP: "updated",
    ActionKind.REFRESH: "refreshed",
    ActionKind.DELETE: "deleted",
    ActionKind.MAKE_DIR: "directories_made",
    ActionKind.REMOVE_DIR: "directories_removed",
}

States = t.Dict[str, KeyState]


def manage_tree(
    options: t.Mapping[str, t.Any], connect: t.Callable[[], t.Any], *, apply: bool
) -> t.Dict[str, t.Any]:
    """Bring a tree to the state that the options describe, and say what changed.

    Args:
        connect: makes the client; called once the options have been found right.
        apply: False to find out only.

    Raises:
        Incomplete: it stopped part way; the report says what was done, failed and was not tried.
    """
    if not 1 <= options["concurrency"] <= _batch.MOST:
        raise Refusal(
            "concurrency is a number of connections from 1 to %d, not %s"
            % (_batch.MOST, options["concurrency"])
        )
    wish = _wish(options)
    secret = _patterns.matcher(options["secret_keys"])
    client = connect()
    first, reading = _read(client, wish)
    stages = _planned(first, reading, wish)
    _check_sizes(client, stages)
    report = {
        "directory": wish.path,
        "warnings": _warnings(first, wish, options),
    }  # type: t.Dict[str, t.Any]
    progress = _batch.Progress(reading.etcd_index, reading.endpoint)
    if apply:
        _converge(client, wish, stages, progress, options)
        done = progress.done
    else:
        done = [action for stage in stages for action in stage]
    report.update(
        _summary(done),
        diff=functools.partial(_diff, first, done, secret, wish),
        etcd_index=progress.etcd_index,
        endpoint=progress.endpoint,
    )
    if progress.failed:
        del report["changed"], report["diff"], report["warnings"]
        report.update(_left(progress))
        reason = progress.failed[0][1]
        raise Incomplete(_failure(progress), changed=bool(done), report=report) from reason
    return report


def _wish(options: t.Mapping[str, t.Any]) -> tree_wish.Wish:
    """What the options say, with the tree or backup that they name."""
    tree = _tree(options)
    if options["src_format"] == "tree":
        if _backups.is_one(tree):
            raise Refusal(
                "the tree holds a backup that quorum.etcd.etcd_backup wrote; src_format: backup"
                " restores it"
            )
        return tree_wish.wish_from_options(options, tree)
    if tree is None:
        raise Refusal("src_format: backup needs src; give the file")
    return tree_restore.wish_from_backup(options, _backups.checked(tree))


def _tree(options: t.Mapping[str, t.Any]) -> t.Any:
    """The tree of the task, or of its file on this host."""
    name = options["src"]
    if name is None:
        return _documents.with_text_names(options["tree"])
    if options["tree"] is not None:
        raise Refusal("tree and src exclude each other; give the mapping or the file")
    is_backup = options["src_format"] == "backup"
    parse = _documents.parse_json if is_backup else _documents.parse
    tree = parse(_files.read_text(name), name)
    if tree is None:
        raise Refusal("%s is empty; write {} for a tree without keys" % name)
    return tree


def _warnings(current: States, wish: tree_wish.Wish, options: t.Mapping[str, t.Any]) -> t.List[str]:
    warnings = []
    keys = tree_restore.directories_with_another_ttl(current, wish)
    if keys:
        warnings.append(
            "directories that exist keep another TTL than they have in the backup, as etcd 3.5 cannot"
            " change it: %s%s" % (", ".join(keys[:_NAMED]), ", ..." if keys[_NAMED:] else "")
        )
    for name in ("secret_keys", "purge_exclude"):
        for pattern in _patterns.unmatched(options[name], _names(current, wish)):
            warnings.append(
                "the pattern %s of %s matches no key below %s, neither of those that are there nor of"
                " the tree" % (_limits.shown(pattern), name, wish.path)
            )
    return warnings


def _names(current: States, wish: tree_wish.Wish) -> t.Iterator[str]:
    """What patterns are compared with: the keys below the path, without it."""
    start = len(wish.path.rstrip("/")) + 1
    for keys in (current, wish.leaves, wish.directories):
        for key in keys:
            if len(key) > start:
                yield key[start:]


def _read(client: t.Any, wish: tree_wish.Wish) -> t.Tuple[States, _reading.Reading]:
    """All that is below the path; hidden keys, which no listing shows, each by its own request."""
    states, reading = _reading.read_states(client, wish.path)
    if wish.hidden:
        for key in tree_wish.hidden_keys(wish):
            states.update(_reading.read_states(client, key)[0])
    return states, reading


def _planned(
    states: States,
    reading: _reading.Reading,
    wish: tree_wish.Wish,
    done: t.Sequence[KeyAction] = (),
) -> t.Tuple[tree_plan.Stage, ...]:
    stages = tree_plan.plan(states, wish, done)
    if stages:
        _reading.refuse_below_value(wish.path, reading)
    return stages


def _check_sizes(client: t.Any, stages: _batch.Stages) -> None:
    """Refuse what is too long to be sent before anything is."""
    composer = client.composer()
    for stage in stages:
        for action in stage:
            if len(action.key) > _SAFE_KEY or len(action.value or "") > _SAFE_VALUE:
                _carry_out.write(composer, action)


def _converge(
    client: t.Any,
    wish: tree_wish.Wish,
    stages: _batch.Stages,
    progress: _batch.Progress,
    options: t.Mapping[str, t.Any],
) -> None:
    """Carry out the plan, and plan anew what other writers were faster with."""
    refused = set()  # type: t.Set[str]
    lost = set()  # type: t.Set[str]
    for unused in range(_carry_out.ATTEMPTS):
        _batch.carry_out_all(
            client,
            stages,
            progress,
            connections=options["concurrency"],
            lost_is_final=options["on_conflict"] == "fail",
        )
        _give_up_full_directories(progress, refused)
        if progress.failed or not progress.raced:
            return
        lost = {action.key for action in progress.lost}
        refused |= lost
        try:
            states, reading = _read(client, wish)
            stages = _planned(states, reading, wish, progress.done)
        except (Refusal, errors.EtcdException) as exc:
            progress.failed.extend((action, exc) for action in progress.lost)
            progress.failed.extend((one, _possible(one)) for one in progress.possible)
            progress.lost, progress.possible = [], []
            return
        progress.planned_again(stages)
    for action in [action for stage in stages for action in stage]:
        if action.key in lost:
            faster = errors.EtcdConflict("another writer was faster in each attempt")
            progress.failed.append((action, faster))
        else:
            progress.not_tried.append(action)


def _give_up_full_directories(progress: _batch.Progress, refused: t.Set[str]) -> None:
    """A directory that could not be removed before, and was seen to be empty since, is not empty."""
    lost, progress.lost = progress.lost, []
    for action in lost:
        if action.key in refused and action.kind is ActionKind.REMOVE_DIR:
            progress.failed.append((action, _not_empty(action)))
        else:
            progress.lost.append(action)


def _not_empty(action: KeyAction) -> Refusal:
    return Refusal(
        "%s is not empty, though a listing shows no children: it holds hidden ones, whose names"
        " start with an underscore, or new ones; include_hidden: true removes them too"
        % action.key,
        error=errors.EtcdDirNotEmpty,
    )


def _summary(done: t.Sequence[KeyAction]) -> t.Dict[str, t.Any]:
    counts = dict.fromkeys(_COUNTED.values(), 0)
    for action in done:
        counts[_COUNTED[action.kind]] += 1
    return {"changed": bool(done), "counts": counts, "done": [action.key for action in done]}


def _left(progress: _batch.Progress) -> t.Dict[str, t.Any]:
    failed = [_failed(action, exc) for action, exc in progress.failed]
    failed += [_failed(action, _possible(action)) for action in progress.possible]
    return {
        "failed_keys": failed,
        "lost": [action.key for action in progress.lost],
        "not_tried": [action.key for action in progress.not_tried],
    }


def _failed(action: KeyAction, exc: Exception) -> t.Dict[str, t.Any]:
    unknown = exc if isinstance(exc, errors.EtcdOutcomeUnknown) else None
    error = exc.error if isinstance(exc, Refusal) else type(exc)
    return {
        "key": action.key,
        "action": action.kind.value,
        "reason": str(exc),
        "error": None if error is None else error.__name__,
        "outcome": "not_done" if unknown is None else "unknown",
        "etcd_index": None if unknown is None else unknown.index,
    }


def _possible(action: KeyAction) -> errors.EtcdOutcomeUnknown:
    return errors.EtcdOutcomeUnknown(
        "the answer to the write of %s was lost, and another client wrote it at the same time"
        % action.key
    )


def _failure(progress: _batch.Progress) -> str:
    action, exc = progress.failed[0]
    return (
        "%s of %s failed: %s (%d writes done, %d failed, %d lost to another writer, %d not tried;"
        " run the task again)"
        % (
            action.kind.value,
            action.key,
            exc,
            len(progress.done),
            len(progress.failed) + len(progress.possible),
            len(progress.lost),
            len(progress.not_tried),
        )
    )


def _diff(
    first: States, done: t.Sequence[KeyAction], secret: t.Any, wish: tree_wish.Wish
) -> t.List[t.Dict[str, str]]:
    before = tree_diff.states_before(first, done)
    after = tree_diff.states_after(before, done, wish)
    return tree_diff.diffs(before, after, wish, secret)
