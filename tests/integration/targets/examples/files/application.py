# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays the application of the examples: writes its state and its configuration every half a second.

Ends when the server at the URL that it is given does.
"""

from __future__ import annotations

import itertools
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def write(key: str, value: str) -> None:
    """Set a key."""
    request = urllib.request.Request(
        f"{sys.argv[1]}/v2/keys{key}",
        data=urllib.parse.urlencode({"value": value}).encode(),
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


def main() -> None:
    """Write until nobody answers."""
    for number in itertools.count():
        try:
            write("/app/state", f"state {number}")
            write("/app/config/mode", f"mode {number}")
        except (urllib.error.URLError, OSError):
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main()
