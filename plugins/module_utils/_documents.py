# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a YAML or JSON text without losing any of it.

PRIVATE to the collection: it can change at any time.

Both formats let a mapping name the same key twice, and their readers keep the last one in silence;
in etcd every name is a string, so 1 and "1" are one as well. Here that is refused.
"""

from __future__ import annotations

import datetime
import json
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _deps
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal

Pairs = t.Iterable[t.Tuple[t.Any, t.Any]]


def parse(text: str, name: str) -> t.Any:
    """What a text stands for: JSON, or YAML where the file's name does not end in .json.

    Args:
        name: of the file, for messages.

    Raises:
        Refusal: it is neither; the message gives line and column.
        _deps.MissingLibrary: it is YAML, and PyYAML is not installed.
    """
    if name.endswith(".json"):
        return parse_json(text, name)
    try:
        return _from_json(text, name)
    except ValueError:
        return _parse_yaml(text, name)


def parse_json(text: str, name: str) -> t.Any:
    """What a text stands for that can be nothing but JSON.

    Args:
        name: of the file, for messages.

    Raises:
        Refusal: it is not; the message gives line and column.
    """
    try:
        return _from_json(text, name)
    except ValueError as exc:
        raise Refusal("%s is not JSON: %s" % (name, exc)) from exc


def _from_json(text: str, name: str) -> t.Any:
    try:
        return json.loads(text, object_pairs_hook=_mapping)
    except RecursionError as exc:
        raise Refusal("%s is nested too deeply" % name) from exc


def _parse_yaml(text: str, name: str) -> t.Any:
    yaml = _deps.load_yaml()

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """The safe loader, but for mappings."""

    def construct_mapping(loader: t.Any, node: t.Any) -> t.Iterator[t.Any]:
        found = {}  # type: t.Dict[str, t.Any]
        yield found
        loader.flatten_mapping(node)
        pairs = [
            (loader.construct_object(key, deep=True), loader.construct_object(value, deep=True))
            for key, value in node.value
        ]
        try:
            found.update(_mapping(pairs))
        except Refusal as exc:
            place = node.start_mark
            raise Refusal(
                "%s, in the mapping that begins in line %d, column %d: %s"
                % (name, place.line + 1, place.column + 1, exc)
            ) from exc

    Loader.add_constructor("tag:yaml.org,2002:map", construct_mapping)
    try:
        return with_text_names(yaml.load(text, Loader=Loader))  # noqa: S506 - it is the safe one
    except RecursionError as exc:
        raise Refusal("%s is nested too deeply" % name) from exc
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = "" if mark is None else " in line %d, column %d" % (mark.line + 1, mark.column + 1)
        problem = " ".join(filter(None, [exc.context, exc.problem]))
        raise Refusal("%s is not YAML%s: %s" % (name, where, problem)) from exc
    except yaml.YAMLError as exc:
        raise Refusal("%s is not YAML: %s" % (name, exc)) from exc


def with_text_names(value: t.Any) -> t.Any:
    """The same value, where every name of a mapping is a string, and so is every date.

    Ansible writes a date of a playbook in this form too (ISO 8601).

    Raises:
        Refusal: two names become the same string, or one cannot be a name.
    """
    if isinstance(value, dict):
        return _mapping((name, with_text_names(one)) for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return [with_text_names(one) for one in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def _mapping(pairs: Pairs) -> t.Dict[str, t.Any]:
    found = {}  # type: t.Dict[str, t.Any]
    for name, value in pairs:
        text = name if isinstance(name, str) else _name(name)
        if text in found:
            raise Refusal(
                "%s is named twice in one mapping (numbers and booleans are names too, written as"
                " JSON writes them); leave one out" % json.dumps(text)
            )
        found[text] = value
    return found


def _name(name: t.Any) -> str:
    if not isinstance(name, (bool, int, float)):
        raise Refusal(
            "a name in a mapping is a string or a number, not %s; quote it"
            % ("null" if name is None else type(name).__name__)
        )
    return json.dumps(name)
