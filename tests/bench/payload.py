# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs on the managed host for a task, as a file, and running it without Ansible around it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import playbook
from lab import Lab

_MEASURED = Path(__file__).resolve().with_name("measured.py")
_LIMIT = 300.0


@dataclass(frozen=True)
class Taken:
    """What one run of a payload took: seconds, and the most bytes of memory that it had at once."""

    seconds: float
    memory: int


def made(lab: Lab, task: Mapping[str, object]) -> Path:
    """The file that Ansible would run on the managed host for this task, arguments included."""
    remote = lab.scratch / "remote"
    playbook.run(lab, [dict(task, name="payload")], ANSIBLE_KEEP_REMOTE_FILES="1")
    (found,) = remote.glob("*/AnsiballZ_*.py")
    kept = lab.scratch / f"payload-{found.parent.name}.py"
    shutil.copy(found, kept)
    shutil.rmtree(remote)
    return kept


def measured(payload: Path) -> Taken:
    """Run it as a process of its own.

    Raises:
        RuntimeError: the module failed.
    """
    ended = subprocess.run(
        [sys.executable, str(_MEASURED), sys.executable, str(payload)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"a payload failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return Taken(**json.loads(ended.stderr))
