# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as people get it: built, installed into an empty collections path, used from there."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections.abc import Sequence
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
_REPOSITORY = "repository: https://example.org/quorum.etcd\n"
"""Galaxy wants one. The collection has none yet that it could name, so the importer is shown this."""
_COMPLAINT = re.compile(r"^(?:WARNING|ERROR): .*", re.MULTILINE)
_RECAP = re.compile(
    r"^localhost +: .*?changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE
)


def install(workspace: Workspace, core: Core) -> str:
    """Build, compare the tarball with what git knows, install, and run the example playbook.

    Twice by itself, once through ansible-navigator. What ansible-builder would put into an execution
    environment is compared with what the collection asks for.
    """
    commands = workspace.commands("install", core.bin)
    tools = publishing_tools(workspace, core)
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

    _introspect(workspace.commands("install", tools), collections)
    plain = ("ansible-playbook",)
    navigator = (
        tools / "ansible-navigator",
        *("run", "--execution-environment", "false", "--mode", "stdout"),
        *("--playbook-artifact-enable", "false", "--log-file", work / "navigator.log"),
    )
    with running_cluster(core, commands, work / "state.json") as endpoints:
        first, second, third = (
            _play(commands, program, installed, work, endpoints, extra)
            for program in (plain, plain, navigator)
        )
    if not first:
        raise Failed("the first run of the example playbook changed nothing")
    if second:
        raise Failed(f"the second run of the example playbook changed {second} tasks")
    if third:
        raise Failed(f"ansible-navigator's run of the example playbook changed {third} tasks")
    return (
        f"{len(shipped)} files; the example playbook changed {first} tasks, then none, "
        "and none through ansible-navigator"
    )


def galaxy(workspace: Workspace, core: Core) -> str:
    """Have galaxy-importer import the tarball; its warnings count as failures.

    It does not run ansible-lint, which the stage `docs` does.
    """
    commands = workspace.commands("galaxy", publishing_tools(workspace, core))
    work = workspace.cache / "galaxy"
    shutil.rmtree(work, ignore_errors=True)
    source = work / "source"
    workspace.copy_to(source)
    with (source / "galaxy.yml").open("a", encoding="utf-8") as file:
        file.write(_REPOSITORY)
    commands.run("ansible-galaxy", "collection", "build", "--output-path", work, cwd=source)
    output = commands.run(
        *("python", "-m", "galaxy_importer.main", next(work.glob("*.tar.gz"))),
        cwd=work,
        extra={"GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"},
    )
    if complaint := _COMPLAINT.search(output):
        raise Failed(f"galaxy-importer says {complaint[0]}")
    loaded = len(re.findall("^Loading ", output, re.MULTILINE))
    return f"{loaded} files loaded; shown a stand-in for the repository, which galaxy.yml lacks"


def publishing_tools(workspace: Workspace, core: Core) -> Path:
    """The `bin` folder with the tools that look at the collection as its publishers do."""
    requirements = workspace.requirements("tests/tools/requirements-docs.txt")
    return workspace.venv("docs", core.python, requirements)


def _introspect(commands: Commands, collections: Path) -> None:
    output = commands.run("ansible-builder", "introspect", "--sanitize", collections)
    found = set(re.findall(r"^- '(.+?) +# from collection quorum\.etcd'$", output, re.MULTILINE))
    file = collections / "ansible_collections" / "quorum" / "etcd" / "meta" / "ee-requirements.txt"
    lines = file.read_text(encoding="utf-8").splitlines()
    wanted = {line for line in lines if line and not line.startswith("#")}
    if found != wanted:
        raise Failed(f"ansible-builder found {sorted(found)} and not {sorted(wanted)}")


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
    commands: Commands,
    program: Sequence[str | Path],
    installed: Path,
    work: Path,
    endpoints: list[str],
    extra: dict[str, str],
) -> int:
    """Run the example playbook; returns how many tasks changed something."""
    output = commands.run(
        *program,
        installed / "examples" / "demo.yml",
        *("-i", "localhost,"),
        *("-e", json.dumps({"etcd_endpoints": endpoints, "demo_output": str(work)})),
        cwd=work,
        extra=extra,
    )
    recap = _RECAP.search(output)
    if recap is None or recap.group(2, 3) != ("0", "0"):
        raise Failed("the example playbook has no clean recap")
    return int(recap.group(1))
