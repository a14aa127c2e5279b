# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`measured.py PROGRAM ARGUMENT ...`: run it, and print seconds and peak memory to standard error.

The kernel counts the memory of the process that starts a program as the program's own. This one is
small, and starts nothing else.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time


def main() -> None:
    """Run the program, and end as it does."""
    began = time.perf_counter()
    code = subprocess.run(sys.argv[1:], check=False).returncode
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "memory": memory}), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
