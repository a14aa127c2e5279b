# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the tests of the collection. `make test` and `make matrix` start it; it needs the standard library only.

It says what it found on this machine, runs the stages, two at a time, and ends with a table and the
line `N passed, N failed, N skipped`. Logs are in .cache/logs.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from driver.commands import Failed
from driver.machine import end_processes_in, find_program, find_pythons
from driver.report import Stage, run_all, summarise
from driver.servers import Server, find_servers, unpack_servers
from driver.stages import CONTROLLERS, MATRIX, matrix_stages, test_stages
from driver.workspace import Core, Workspace

ROOT = Path(__file__).resolve().parents[2]
CONTROLLER_PYTHONS = ("3.11", "3.12", "3.13")
"""What runs the ansible-core of requirements-dev.txt, best first."""


def main() -> int:
    """Run the stages that the command line names, or all."""
    parser = argparse.ArgumentParser(description="Runs the tests of quorum.etcd.")
    parser.add_argument(
        "--matrix", action="store_true", help="run the main stages on every supported ansible-core"
    )
    parser.add_argument(
        "stages", nargs="*", help="names of stages, or how names begin (default: all)"
    )
    arguments = parser.parse_args()

    start = time.monotonic()
    workspace = Workspace(ROOT, find_pythons())
    try:
        print("==> Preparing the copy of the checkout and the main environment", flush=True)
        workspace.prepare()
        core = _main_core(workspace)
        not_unpacked = unpack_servers(workspace)
        servers = find_servers(workspace, core)
        _introduce(workspace, core, servers, matrix=arguments.matrix)
        if arguments.matrix:
            stages = matrix_stages(servers)
        else:
            stages = test_stages(core, servers, not_unpacked)
        stages = _select(stages, arguments.stages)
        workspaces = [workspace, workspace.twin("test-2")] if len(stages) > 1 else [workspace]
    except (Failed, OSError) as exc:
        print(f"FAILED: {exc}\n\n0 passed, 1 failed, 0 skipped")
        return 1
    try:
        results = run_all(stages, workspaces)
    finally:
        left = sum(end_processes_in(place.collections) for place in workspaces)
        if left:
            print(f"\n==> Ended {left} processes that stages left behind")
    return 0 if summarise(results, seconds=time.monotonic() - start) else 1


def _main_core(workspace: Workspace) -> Core:
    python = next(
        (workspace.pythons[minor] for minor in CONTROLLER_PYTHONS if minor in workspace.pythons),
        None,
    )
    if python is None:
        raise Failed(
            f"none of Python {', '.join(CONTROLLER_PYTHONS)} with venv and ensurepip was found"
        )
    return workspace.core(None, python)


def _introduce(
    workspace: Workspace, core: Core, servers: Sequence[Server], *, matrix: bool
) -> None:
    cores = [f"{core.version} on Python {core.python.version}"]
    if matrix:
        cores = [
            f"{version} on Python {CONTROLLERS[version.rpartition('.')[0]]}" for version in MATRIX
        ]
    pythons = [f"{python.version} ({python.path})" for python in workspace.pythons.values()]
    for title, lines in (
        ("etcd servers", [str(server) for server in servers] or ["none"]),
        ("ansible-core", cores),
        ("Pythons", pythons),
        ("shellcheck", [find_program("shellcheck") or "none"]),
    ):
        for number, line in enumerate(lines):
            print(f"    {title if number == 0 else '':14}{line}")


def _select(stages: Sequence[Stage], names: Sequence[str]) -> list[Stage]:
    for name in names:
        if not any(stage.name.startswith(name) for stage in stages):
            raise Failed(
                f"there is no stage {name}; there are {', '.join(stage.name for stage in stages)}"
            )
    return [stage for stage in stages if not names or stage.name.startswith(tuple(names))]


def _leave(number: int, _frame: FrameType | None) -> None:
    """End in order, so that no command that was started outlives us."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _leave)
    sys.exit(main())
