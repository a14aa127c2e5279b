# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a diff shows values, so that a person can review it. Pure.

PRIVATE to the collection: it can change at any time.

Ansible compares two texts line by line. So a value is shown as the lines that it has, and JSON is
laid out with sorted keys: only what differs is then marked. Two values that differ never look alike.
"""

from __future__ import annotations

import json
import typing as t

Lines = t.List[str]
Diff = t.Dict[str, str]


def value_lines(before: t.Optional[str], after: t.Optional[str]) -> t.Tuple[Lines, Lines]:
    """The lines of a value before and after; None, for no value, has no lines."""
    shown = [_laid_out(value) for value in (before, after)]
    if before != after and shown[0] == shown[1]:
        # The same JSON in another layout: the layout is what differs.
        shown = [_as_it_is(value) for value in (before, after)]
    return shown[0], shown[1]


def key_diff(
    key: str,
    before: t.Optional[t.Mapping[str, t.Any]],
    after: t.Optional[t.Mapping[str, t.Any]],
) -> Diff:
    """The diff of one key.

    Args:
        before, after: "value" and "ttl"; None for no such key.
    """
    values = [None if state is None else state["value"] for state in (before, after)]
    texts = [
        text(lines + ([] if state is None else ttl_line(state["ttl"])))
        for lines, state in zip(value_lines(*values), (before, after))
    ]
    return {"before_header": key, "after_header": key, "before": texts[0], "after": texts[1]}


def ttl_line(ttl: t.Optional[int], label: str = "") -> Lines:
    """The line of a TTL in seconds; none without one."""
    return [] if ttl is None else ["%s(ttl %d)" % (label, ttl)]


def text(lines: t.Iterable[str]) -> str:
    """The text that Ansible compares."""
    return "".join(line + "\n" for line in lines)


def printable(line: str) -> str:
    """The line as it is, or as a JSON string where it could be taken for another one.

    That is so for characters that a terminal obeys or does not show, and for what we write ourselves.
    """
    plain = line.replace("\t", "").isprintable()
    if plain and not line.startswith(("(ttl ", "(secret")):
        if line != '""' and not (line.startswith('"') and "\\" in line):
            return line
    quoted = json.dumps(line, ensure_ascii=False)
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in quoted
    )


def _as_it_is(value: t.Optional[str]) -> Lines:
    if value is None:
        return []
    return [printable(line) for line in value.split("\n")] if value else ['""']


def _laid_out(value: t.Optional[str]) -> Lines:
    if value is None or not value.lstrip().startswith(("{", "[")):
        return _as_it_is(value)
    try:
        content = json.loads(value, object_pairs_hook=_mapping)
        laid_out = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return _as_it_is(value)
    return [printable(line) for line in laid_out.split("\n")]


def _mapping(pairs: t.Sequence[t.Tuple[str, t.Any]]) -> t.Dict[str, t.Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name is given twice, and one would not be shown")
    return content
