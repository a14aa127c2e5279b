# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as people get it: built, installed into an empty collections path, used from there."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from pathlib import Path

from .commands import Commands, Failed
from .servers import running_cluster
from .workspace import Core, Workspace

_JUNK = (
    ".cache/junk",
    ".venv/junk",
    ".pytest_cache/junk",
    "collections/ansible_collections/junk",
    "plugins/modules/__pycache__/junk.pyc",
    "tests/integration/integration_config.yml",
    "tests/output/junk",
    "quorum-etcd-0.0.1.tar.gz",
)
"""What a used checkout holds; none of it may be shipped."""

_NOT_SHIPPED = (".ansible-lint", ".ci/", ".gitignore", ".yamllint")
_MADE_BY_GALAXY = {"MANIFEST.json", "FILES.json"}
_NOT_IN_THE_TARBALL = "galaxy.yml"
_RECAP = re.compile(
    r"^localhost +: .*?changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE
)


def install(workspace: Workspace, core: Core) -> str:
    """Build, compare the tarball with what git knows, install, and run the example playbook twice."""
    commands = workspace.commands("install", core.bin)
    work = workspace.cache / "install"
    shutil.rmtree(work, ignore_errors=True)
    shipped = _build(workspace, commands, work)

    collections = work / "collections"
    collections.mkdir()
    extra = {"ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_LOCALHOST_WARNING": "false"}
    tarball = next(work.glob("*.tar.gz"))
    commands.run(
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "-p",
        collections,
        tarball,
        cwd=work,
        extra=extra,
    )
    installed = collections / "ansible_collections" / "quorum" / "etcd"

    with running_cluster(core, commands, work / "state.json") as endpoints:
        first, second = (_play(commands, installed, work, endpoints, extra) for _run in range(2))
    if not first:
        raise Failed("the first run of the example playbook changed nothing")
    if second:
        raise Failed(f"the second run of the example playbook changed {second} tasks")
    return f"{len(shipped)} files; the example playbook changed {first} tasks, then none"


def _build(workspace: Workspace, commands: Commands, work: Path) -> set[str]:
    """Build from a checkout full of junk; returns the names in the tarball."""
    source = work / "source"
    wanted = {name for name in workspace.copy_to(source) if not name.startswith(_NOT_SHIPPED)}
    for name in _JUNK:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("junk", encoding="utf-8")
    commands.run("ansible-galaxy", "collection", "build", "--output-path", work, cwd=source)
    with tarfile.open(next(work.glob("*.tar.gz"))) as archive:
        shipped = {member.name for member in archive.getmembers() if not member.isdir()}
    wanted = (wanted - {_NOT_IN_THE_TARBALL}) | _MADE_BY_GALAXY
    if shipped != wanted:
        raise Failed(
            f"the tarball should not hold {sorted(shipped - wanted)} and lacks {sorted(wanted - shipped)}"
        )
    return shipped


def _play(
    commands: Commands, installed: Path, work: Path, endpoints: list[str], extra: dict[str, str]
) -> int:
    """Run the example playbook; returns how many tasks changed something."""
    output = commands.run(
        "ansible-playbook",
        *("-i", "localhost,"),
        *("-e", json.dumps({"etcd_endpoints": endpoints, "demo_output": str(work)})),
        installed / "examples" / "demo.yml",
        cwd=work,
        extra=extra,
    )
    recap = _RECAP.search(output)
    if recap is None or recap.group(2, 3) != ("0", "0"):
        raise Failed("the example playbook has no clean recap")
    return int(recap.group(1))
