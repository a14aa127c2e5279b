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

    A star stands for any characters, slashes too; a leading slash of a pattern is dropped.
    """
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(one.lstrip("/")) for one in patterns))
