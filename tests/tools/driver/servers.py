# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The etcd servers that the harness finds, and a throwaway one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .commands import Commands
from .workspace import Core, Workspace

HARNESS = Path("tests") / "harness"


@dataclass(frozen=True)
class Server:
    """An etcd server that serves the v2 API."""

    path: str
    version: str
    source: str

    def __str__(self) -> str:
        return f"etcd {self.version} ({self.source}: {self.path})"


def find_servers(workspace: Workspace, core: Core) -> list[Server]:
    """All usable servers of this machine."""
    output = workspace.commands("servers", core.bin).run(core.bin / "python", HARNESS, "servers")
    return [
        Server(**{name: entry[name] for name in ("path", "version", "source")})
        for entry in json.loads(output)
    ]


@contextmanager
def running_cluster(core: Core, commands: Commands, state: Path) -> Iterator[list[str]]:
    """One throwaway member; yields the endpoints."""
    harness = (core.bin / "python", HARNESS)
    commands.run(*harness, "start", "--state", state, "--binary", "auto", "--size", "1")
    try:
        yield json.loads(state.read_text(encoding="utf-8"))["endpoints"]
    finally:
        commands.run(*harness, "stop", "--state", state)
