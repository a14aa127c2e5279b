# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the playbooks of this folder over the hosts of the tests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hosts import Host, LoopbackHost

HERE = Path(__file__).resolve().parent
_RECAP = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+)", re.MULTILINE)
_FATAL = re.compile(r"^(?:fatal|failed): \[.*$", re.MULTILINE)


class Wrong(Exception):
    """Something is not as it must be; the message says what."""


class NotSeen(Exception):
    """A part, or some of it, cannot be run here; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """What became of one run of a playbook."""

    passed: bool
    changed: int
    """How many tasks changed something, of all hosts together."""

    refusals: list[str]
    output: str


@dataclass
class Cluster:
    """The hosts of a cluster, and what the inventory says of all of them and of single ones."""

    hosts: list[Host] | list[LoopbackHost]
    work: Path
    variables: dict[str, object]
    own: dict[str, dict[str, object]] = field(default_factory=dict)
    playbooks: Path = HERE
    """Where the playbooks are that have no dot in their name; the others belong to collections."""

    @property
    def pki(self) -> Path:
        """Where the internal CA is."""
        return self.work / "pki"

    @property
    def encrypted(self) -> bool:
        """Whether the nodes speak TLS."""
        return "etcd_server_tls_mode" in self.variables

    @property
    def endpoints(self) -> list[str]:
        """Where the nodes serve clients."""
        scheme = "https" if self.encrypted else "http"
        return [f"{scheme}://{host.client}" for host in self.hosts]

    @property
    def credentials(self) -> dict[str, str]:
        """What clients show the nodes."""
        if not self.encrypted:
            return {}
        return {
            "ca_cert": str(self.pki / "ca.pem"),
            "client_cert": str(self.pki / "node1.pem"),
            "client_key": str(self.pki / "node1-key.pem"),
        }

    def run(self, playbook: str, *words: str, extra: Mapping[str, object] | None = None) -> Outcome:
        """Run a playbook, with variables that go before those of the inventory."""
        ended = subprocess.run(
            self._command(playbook, words, extra or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
            env={**os.environ, **self._settings()},
        )
        output = ended.stdout + ended.stderr
        with (self.work / "ansible.log").open("a") as log:
            log.write(output)
        changed = sum(int(count) for count in _RECAP.findall(output))
        return Outcome(ended.returncode == 0, changed, _FATAL.findall(output), output)

    def interrupt(self, task: str, playbook: str, *words: str) -> None:
        """Run a playbook, and kill it when it comes to this task."""
        with subprocess.Popen(
            self._command(playbook, words, {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **self._settings()},
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            output = ""
            for line in process.stdout:
                output += line
                if line.startswith("TASK [") and line.partition(" : ")[2].startswith(f"{task}]"):
                    os.killpg(process.pid, signal.SIGKILL)
                    return
        raise Wrong(f"{playbook}.yml did not come to the task {task!r}:\n{output[-6000:]}")

    def _command(
        self, playbook: str, words: Sequence[str], extra: Mapping[str, object]
    ) -> list[str | Path]:
        """The command line; what it names is written first."""
        inventory = self.work / "inventory.json"
        hosts = {
            host.name: {**host.variables(), **self.own.get(host.name, {})} for host in self.hosts
        }
        common = {"ansible_python_interpreter": sys.executable, **self.variables}
        inventory.write_text(json.dumps({"etcd": {"hosts": hosts, "vars": common}}))
        variables = self.work / "extra.json"
        variables.write_text(json.dumps(extra))
        program = Path(sys.executable).with_name("ansible-playbook")
        path = playbook if "." in playbook else self.playbooks / f"{playbook}.yml"
        return [program, "-i", inventory, "-e", f"@{variables}", path, *words]

    def must(
        self, playbook: str, *words: str, extra: Mapping[str, object] | None = None
    ) -> Outcome:
        """The same, for a run that has to succeed."""
        outcome = self.run(playbook, *words, extra=extra)
        if not outcome.passed:
            raise Wrong(f"{playbook}.yml failed:\n{outcome.output[-6000:]}")
        return outcome

    def write(self, keys: Sequence[str]) -> None:
        """Write keys through etcd_key, each with its name as value."""
        extra = {"endpoints": self.endpoints, "tls": self.credentials, "keys": list(keys)}
        outcome = self.must("write", extra=extra)
        if outcome.changed != 1:
            raise Wrong("the keys were there before they were written")

    def _settings(self) -> dict[str, str]:
        return {
            # Of a host, and not of whoever runs the tests.
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "ANSIBLE_CONFIG": str(self.work / "ansible.cfg"),
            "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "connection"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_HOME": str(self.work / "ansible"),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
