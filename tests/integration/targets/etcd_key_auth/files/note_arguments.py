# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command, and write the arguments of its process and of those below it to a file.

Everybody on a machine may read them. usage: note_arguments.py FILE COMMAND...
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Return what the command returned."""
    notes, *command = sys.argv[1:]
    seen = set()
    process = subprocess.Popen(command)
    family = {process.pid}
    while process.poll() is None:
        for folder in Path("/proc").glob("[0-9]*"):
            # A process may be gone before it is looked at.
            with contextlib.suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent in family:
                    family.add(int(folder.name))
                if int(folder.name) in family:
                    seen.add((folder / "cmdline").read_bytes().replace(b"\0", b" "))
        time.sleep(0.005)
    Path(notes).write_bytes(b"\n".join(sorted(seen)))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
