# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a value of a task is stored as text, and when a stored text is that value. Pure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _limits
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal


def stored_text(name: str, value: t.Any) -> str:
    """The text that a value from a task is stored as: strings as they are, all else as JSON.

    Args:
        name: of the option that it comes from.

    Raises:
        Refusal: it holds what JSON has not.
        errors.ClientException: it cannot be UTF-8.
    """
    if isinstance(value, str):
        text = str(value)
    else:
        try:
            text = canonical_json(value)
        except ValueError as exc:
            raise Refusal(
                "%s is of type %s and cannot be written as JSON; give a string, a number, a boolean,"
                " a list or a mapping" % (name, type(value).__name__)
            ) from exc
    _limits.text_bytes(text, name)
    return text


def compares_as_json(value: t.Any) -> bool:
    """Whether another text that holds the same JSON is the same value."""
    return isinstance(value, (dict, list))


def equal(stored: t.Optional[str], text: t.Optional[str], *, as_json: bool) -> bool:
    """Whether what is stored is the value whose text this is; None, as for a directory, never is."""
    if stored == text:
        return stored is not None
    if not as_json or stored is None:
        return False
    try:
        return canonical_json(json.loads(stored)) == text
    except (ValueError, RecursionError):
        return False


def canonical_json(value: t.Any) -> str:
    """JSON with sorted keys and no blanks.

    Raises:
        ValueError: it holds what JSON has not (NaN, infinity, another type, keys of mixed types).
    """
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except TypeError as exc:
        raise ValueError(str(exc)) from exc
