# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The etcd servers that the harness finds, newer ones of Debian, and a throwaway one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .commands import Commands, Failed
from .workspace import Core, Workspace

HARNESS = Path("tests") / "harness"


@dataclass(frozen=True)
class Server:
    """An etcd server that serves the v2 API.

    `source` is the harness's: an unpacked one is for the functional tests only.
    """

    path: str
    version: str
    source: str

    @property
    def is_unpacked(self) -> bool:
        """Whether it is not installed."""
        return self.source == "unpacked"

    def __str__(self) -> str:
        return f"etcd {self.version} ({self.source}: {self.path})"


def unpacked(workspace: Workspace) -> dict[str, str]:
    """The environment in which the harness finds the unpacked servers as well."""
    return {"QUORUM_ETCD_SERVERS": str(workspace.cache / "servers")}


def unpack_servers(workspace: Workspace) -> str:
    """Fetch the servers of later Debian releases, unless they are there; why not, or nothing."""
    folder = workspace.cache / "servers"
    if any(folder.glob("*/usr/bin/etcd")):
        return ""
    commands = workspace.commands("unpack-servers")
    try:
        commands.run("bash", Path("tests") / "tools" / "unpack_servers.sh", folder)
    except Failed:
        lines = commands.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1]
    return ""


def find_servers(workspace: Workspace, core: Core) -> list[Server]:
    """All usable servers of this machine, in the order of the harness."""
    commands = workspace.commands("servers", core.bin)
    output = commands.run(core.bin / "python", HARNESS, "servers", extra=unpacked(workspace))
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
