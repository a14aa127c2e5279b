# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running ansible-playbook and taking the time of each task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import Lab
from table import Rounds, Samples

Task = Mapping[str, Any]

_CALLBACKS = Path(__file__).resolve().parent / "callback"
_LIMIT = 600.0


@dataclass(frozen=True)
class Timed:
    """A task that has run."""

    name: str
    seconds: float
    changed: bool


def interleave(
    lab: Lab, tasks: Mapping[str, Task], *, rounds: int, seconds: float, per_play: int = 1
) -> Samples:
    """Run the tasks in turn, round after round; a play holds some rounds."""
    names = list(tasks)
    play = [dict(tasks[name], name=name) for unused in range(per_play) for name in names]
    samples = Samples(names)
    for unused in Rounds(rounds // per_play, seconds=seconds):
        for timed in run(lab, play):
            samples.add(timed.name, timed.seconds)
    return samples


def run(lab: Lab, tasks: Sequence[Task], **environment: str) -> list[Timed]:
    """Run the tasks in one play.

    Raises:
        RuntimeError: a task failed.
    """
    playbook = lab.scratch / "play.yml"
    playbook.write_text(json.dumps([_play(lab.endpoint, tasks)]), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(playbook)],
        cwd=lab.scratch,
        env=_environment(lab) | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT,
    )
    timed = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    if ended.returncode != 0 or len(timed) != len(tasks):
        raise RuntimeError(
            f"ansible-playbook failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}"
        )
    return [Timed(**one) for one in timed]


def _play(endpoint: str, tasks: Sequence[Task]) -> dict[str, Any]:
    return {
        "hosts": "all",
        "gather_facts": False,
        "vars": {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "endpoint": endpoint,
        },
        "tasks": list(tasks),
    }


def _environment(lab: Lab) -> dict[str, str]:
    """No setting of this machine's user, and every file of Ansible's in the scratch folder.

    Python's own settings are left out too: one that keeps it from writing bytecode, as containers
    have it, would have every task compile what others compile once.
    """
    others = ("ANSIBLE_", "ETCDCTL_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    configuration = lab.scratch / "ansible.cfg"
    configuration.touch()
    return kept | {
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_HOME": str(lab.scratch / "ansible"),
        "ANSIBLE_REMOTE_TMP": str(lab.scratch / "remote"),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, (lab.tree, *lab.collections))),
        "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
        "ANSIBLE_STDOUT_CALLBACK": "stopwatch",
        "ANSIBLE_NOCOLOR": "1",
    }
