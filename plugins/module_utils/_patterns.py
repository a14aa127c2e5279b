# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which keys a task's shell patterns are of. Pure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import fnmatch
import re
import typing as t


def matcher(patterns: t.Optional[t.Sequence[str]]) -> t.Optional["re.Pattern[str]"]:
    """What matches all that one of these shell patterns does; None for no patterns.

    It is matched with keys below a path, without that path and its slash. A pattern without a slash
    is a name at any depth; one with a slash begins at the path, and a slash at its start says just
    that. What matches, matches with all that is below it. A star stands for any characters, slashes
    too.
    """
    if not patterns:
        return None
    return re.compile("|".join(_expression(one) for one in patterns))


def unmatched(patterns: t.Optional[t.Sequence[str]], names: t.Iterable[str]) -> t.Sequence[str]:
    """Those of the patterns that match none of these keys below a path."""
    left = {one: re.compile(_expression(one)) for one in patterns or ()}
    for name in names:
        if not left:
            break
        for one in [one for one, expression in left.items() if expression.match(name)]:
            del left[one]
    return list(left)


def _expression(pattern: str) -> str:
    whole = pattern.strip("/")
    heads = [whole] if "/" in pattern.rstrip("/") else [whole, "*/" + whole]
    return "|".join(fnmatch.translate(head + below) for head in heads for below in ("", "/*"))
