# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks as users run them: the module as a process of its own, and whole playbooks.

When exactly a task of a playbook began and ended is not known, so its operation is as long as the
playbook. That is why nothing here `settles`: it is not known either when somebody gave up.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.quorum.etcd.plugins.modules import etcd_key
from .history import Kind, Operation, Outcome
from .workers import IN_A_TREE, QUEUE, TASKS, tree_outcomes

_MODULE = Path(etcd_key.__file__)
#: The folder of `ansible_collections`.
_COLLECTIONS = _MODULE.parents[5]

#: Seconds between two of them: each is a start of Python or of Ansible.
_PAUSE = (0.2, 1.0)

#: Of a task.
_TIMES = {"connect_timeout": 0.5, "timeout": 8.0, "total_timeout": 10.0}

#: The share of modules that are killed, and within how many seconds of their life.
_KILLED = 0.2
_KILLED_WITHIN = 0.6


class Outside:
    """One process that starts others.

    Args:
        name: of the process.
        seed: decides, with the name, what it does.
        endpoints: of the tasks.
        directory: for the files of playbooks.
        note: is given what it was told.
    """

    def __init__(
        self,
        name: str,
        seed: str,
        endpoints: list[str],
        directory: Path,
        note: Callable[[Operation], None],
    ) -> None:
        self.name = name
        self._random = random.Random(f"{seed} {name}")
        self._connection = {"endpoints": endpoints, **_TIMES}
        self._directory = directory
        self._note = note
        self._values = (f"{name}.{number}" for number in itertools.count())

    def run_module(self) -> None:
        """Declare a key, or append one, with a module that may be killed while it does so."""
        time.sleep(self._random.uniform(*_PAUSE))
        value = next(self._values)
        append = self._random.random() < 0.5
        key = QUEUE if append else self._random.choice(TASKS)
        state = "enqueued" if append else "present"
        arguments = {"key": key, "value": value, "state": state, **self._connection}
        patience = self._random.uniform(0.0, _KILLED_WITHIN)
        doomed = self._random.random() < _KILLED
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, str(_MODULE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as module:
            given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
            try:
                said, unused = module.communicate(given, patience if doomed else None)
            except subprocess.TimeoutExpired:
                module.kill()
                said, unused = module.communicate()
        if said.strip() or not doomed:
            self._record(key, value, began, _parsed(said), append=append)
        else:
            kind = Kind.APPEND if append else Kind.WRITE
            ended = time.monotonic()
            self._note(
                Operation(
                    self.name, kind, key, began, ended, Outcome.UNKNOWN, value=value, why="killed"
                )
            )

    def run_playbook(self) -> None:
        """A key, an append and a tree, and all that Ansible does around them."""
        time.sleep(self._random.uniform(*_PAUSE))
        key, value = self._random.choice(TASKS), next(self._values)
        path = f"/chaos/tree/{self.name}"
        tree = {f"k{number}": next(self._values) for number in range(IN_A_TREE)}
        began = time.monotonic()
        results = self._play(
            {
                "set": ("etcd_key", {"key": key, "value": value}),
                "append": ("etcd_key", {"key": QUEUE, "value": value, "state": "enqueued"}),
                "apply": ("etcd_tree", {"path": path, "tree": tree}),
            }
        )
        self._record(key, value, began, results["set"], append=False)
        self._record(QUEUE, value, began, results["append"], append=True)
        ended = time.monotonic()
        for name, (outcome, why) in tree_outcomes(tree, results["apply"]).items():
            self._note(
                Operation(
                    *(self.name, Kind.WRITE, f"{path}/{name}", began, ended, outcome, tree[name]),
                    why=why,
                )
            )

    def _play(self, tasks: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
        """Run a playbook of these tasks, and return the result of each."""
        results = self._directory / f"{self.name}.results.json"
        results.unlink(missing_ok=True)
        steps: list[dict[str, Any]] = [
            {
                "name": f"Task {name}",
                f"quorum.etcd.{module}": options,
                "register": name,
                "ignore_errors": True,
            }
            for name, (module, options) in tasks.items()
        ]
        told = ", ".join(f"'{name}': {name}" for name in tasks)
        steps.append(
            {
                "name": "What was told",
                "ansible.builtin.copy": {
                    "content": "{{ {%s} | to_json }}" % told,
                    "dest": str(results),
                    "mode": "0600",
                },
            }
        )
        play = {
            "name": "Tasks of a user",
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"group/quorum.etcd.etcd": self._connection},
            "tasks": steps,
        }
        playbook = self._directory / f"{self.name}.yml"
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": str(_COLLECTIONS),
            "ANSIBLE_HOME": str(self._directory / f"{self.name}.home"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), str(playbook)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings},
            check=False,
        )
        if not results.exists():
            raise RuntimeError(f"a playbook failed: {done.stdout.decode(errors='replace')}")
        return dict(json.loads(results.read_text(encoding="utf-8")))

    def _record(
        self, key: str, value: str, began: float, told: Mapping[str, Any], *, append: bool
    ) -> None:
        if told.get("failed"):
            unknown = told.get("error") == "EtcdOutcomeUnknown"
            outcome = Outcome.UNKNOWN if unknown else Outcome.NOT_DONE
        else:
            outcome = Outcome.DONE if told["changed"] else Outcome.UNCHANGED
        self._note(
            Operation(
                self.name,
                Kind.APPEND if append else Kind.WRITE,
                key,
                began,
                time.monotonic(),
                outcome,
                value=value,
                index=told["modified_index"] if outcome is Outcome.DONE else None,
                made=told["key"] if append and outcome is Outcome.DONE else None,
                why=told.get("msg", ""),
            )
        )


def _parsed(said: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(said))
    except ValueError as exc:
        raise RuntimeError(f"a module printed {said.decode(errors='replace')}") from exc
