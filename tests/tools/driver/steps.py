# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stages do; each step returns a remark for the table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from . import package
from .commands import Failed, Skipped
from .machine import find_program
from .servers import Server, unpacked
from .workspace import Core, Workspace

_ALL_SKIPPED = "All targets skipped"
_WARNING = re.compile(r"^WARNING: (.*)$", re.MULTILINE)
_NOT_RUN = re.compile(r'^Skipping sanity test "(.+?)" on Python (\S+) because (.+?)\.?$')
_HARMLESS = re.compile(
    r"^(Unable to set locale|Using locale|Reviewing previous|Unable to determine context)",
    re.IGNORECASE,
)
_TARGET = re.compile(r"^Running (\S+) integration test", re.MULTILINE)
_PYTEST = re.compile(r"^=* ?(\d+ (?:passed|failed|skipped|error).*?) in [\d.]+", re.MULTILINE)


def sanity(workspace: Workspace, core: Core, stage: str) -> str:
    """Every sanity test on every Python; the remark names those that ansible-test left out."""
    return _remark(_ansible_test(workspace, core, stage, "sanity", "--venv"))


def shellcheck(workspace: Workspace) -> str:
    """ansible-test looks only at *.sh; this looks at every shell script."""
    program = find_program("shellcheck")
    if program is None:
        raise Skipped("shellcheck is not installed (Debian: apt-get install shellcheck)")
    made = workspace.copy / "tests" / "output"  # ansible-test's own, while its stages run
    scripts = [
        path
        for path in sorted(workspace.copy.rglob("*"))
        if made not in path.parents and _is_shell_script(path)
    ]
    workspace.commands("shellcheck").run(
        program, *(path.relative_to(workspace.copy) for path in scripts)
    )
    return f"{len(scripts)} scripts"


def _is_shell_script(path: Path) -> bool:
    # A template becomes a script on the host only.
    if not path.is_file() or ".git" in path.parts or path.suffix == ".j2":
        return False
    with path.open("rb") as file:
        first = file.readline(100)
    return path.suffix == ".sh" or (first.startswith(b"#!") and b"sh" in first)


def _pythons(workspace: Workspace, core: Core) -> list[str]:
    return [minor for minor in workspace.pythons if minor in core.targets]


def units(workspace: Workspace, core: Core, stage: str) -> str:
    """The unit tests on every Python that there is and that this ansible-core supports."""
    return _units(workspace, core, stage, _pythons(workspace, core))


def units_at_the_ends(workspace: Workspace, core: Core, stage: str) -> str:
    """The unit tests on the oldest and the newest Python, and on the controller's.

    Half of the Pythons in half of the time: what runs on these and not on one between them is for
    `make matrix` to find.
    """
    every = _pythons(workspace, core)
    chosen = [one for one in every if one in (every[0], core.python.minor, every[-1])]
    remark = _units(workspace, core, stage, chosen)
    left = [one for one in every if one not in chosen]
    return f"{remark}; {', '.join(left)} are left to make matrix" if left else remark


def _units(workspace: Workspace, core: Core, stage: str, minors: Sequence[str]) -> str:
    counts: dict[str, list[str]] = {}
    for minor in minors:
        output = _ansible_test(workspace, core, stage, "units", "--venv", "--python", minor)
        counts.setdefault(_pytest_counts(output), []).append(minor)
    missing = [minor for minor in core.targets if minor not in workspace.pythons]
    remarks = [f"{count} on {', '.join(ones)}" for count, ones in counts.items()]
    if missing:
        remarks.append(f"not run on {', '.join(missing)}, which were not found")
    return "; ".join(remarks)


def functional(
    workspace: Workspace, core: Core, stage: str, server: Server, *chosen: str, more: str = ""
) -> str:
    """The tests that need servers but no ansible-test, with this server.

    `chosen` are more arguments for pytest, `more` is the end of the name of another file of requirements.
    """
    requirements = workspace.requirements("tests/functional/requirements.txt")
    if more:
        requirements += workspace.requirements(f"tests/functional/requirements{more}.txt")
    tools = workspace.venv(f"functional{more}", core.python, requirements)
    # The examples of the documentation are playbooks.
    programs = {"QUORUM_ETCD_ANSIBLE_PLAYBOOK": str(core.bin / "ansible-playbook")}
    extra = _importable(workspace) | unpacked(workspace) | programs
    commands = workspace.commands(stage, tools)
    pytest = (tools / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    chosen = ("--etcd", server.version, *chosen)
    # Side by side, because most of their time they wait: for elections, timeouts, watches.
    output = commands.run(*pytest, *chosen, "-n", "3", "tests/functional", extra=extra)
    return _pytest_counts(output)


def roles(workspace: Workspace, core: Core) -> str:
    """The roles over network namespaces, or plain processes where there can be none."""
    path = {"ANSIBLE_COLLECTIONS_PATH": str(workspace.collections)}
    output = workspace.commands("roles", core.bin).run(
        core.bin / "python", "tests/roles/run.py", "short", extra=_importable(workspace) | path
    )
    return output.splitlines()[-1]


def chaos(workspace: Workspace, core: Core) -> str:
    """What clients are told, against the servers' own history; the first server only."""
    output = workspace.commands("chaos", core.bin).run(
        *(core.bin / "python", "-m", "chaos.run", "--first", "--seed", "1", "--seconds", "12"),
        extra=_importable(workspace),
    )
    return output.splitlines()[-1]


def _importable(workspace: Workspace) -> dict[str, str]:
    """The environment in which Python finds the collection, and what the tests are made of."""
    return {"PYTHONPATH": f"{workspace.collections}:{workspace.copy / 'tests'}"}


def integration(
    workspace: Workspace,
    core: Core,
    stage: str,
    server: Server,
    *targets: str,
    left_out: Sequence[str] = (),
) -> str:
    """The integration targets, or some of them, against one server."""
    _configure(workspace, server)
    excluded = [word for target in left_out for word in ("--exclude", target)]
    arguments = ("integration", "--venv", "--python", core.python.minor, *excluded, *targets)
    remark = _targets_remark(_ansible_test(workspace, core, stage, *arguments))
    if left_out:
        remark += f"; {', '.join(left_out)} are left to the first server"
    return remark


def integration_on_old_python(
    workspace: Workspace, core: Core, server: Server, *targets: str
) -> str:
    """Some targets with modules running on the oldest Python, the controller on its own."""
    minor = _pythons(workspace, core)[0]
    if minor == core.python.minor:
        raise Skipped("no older Python than the controller's was found")
    _configure(workspace, server)
    controller = ("--controller", f"origin:python=venv/{core.python.minor}")
    target = ("--target", f"controller:python=venv/{minor}")
    arguments = ("integration", *controller, *target, *targets)
    output = _ansible_test(workspace, core, "integration-old-python", *arguments)
    return f"modules on Python {minor}; {_targets_remark(output)}"


def docs(workspace: Workspace, core: Core) -> str:
    """The documentation, the changelog, the style that Ansible's own linters ask for, the licenses."""
    commands = workspace.commands("docs", package.publishing_tools(workspace, core))
    path = {"ANSIBLE_COLLECTIONS_PATH": str(workspace.collections)}
    commands.run("antsibull-docs", "lint-collection-docs", "--plugin-docs", ".", extra=path)
    commands.run("antsibull-changelog", "lint", extra=path)
    commands.run(
        "antsibull-changelog", "lint-changelog-yaml", "changelogs/changelog.yaml", extra=path
    )
    commands.run("ansible-lint", "--nocolor", extra=path)
    commands.run("reuse", "lint", "--lines")
    return ""


def _configure(workspace: Workspace, server: Server) -> None:
    """Tell the integration targets which server to start; environment variables do not reach them."""
    text = f"---\netcd_bin: {server.path}\netcd_version: '{server.version}'\n"
    (workspace.copy / "tests" / "integration" / "integration_config.yml").write_text(
        text, encoding="utf-8"
    )


def _ansible_test(workspace: Workspace, core: Core, stage: str, *arguments: str) -> str:
    """Run ansible-test; also fails when it ran nothing at all, which it itself calls a success."""
    if "integration" in arguments and find_program("ssh-keygen") is None:
        raise Skipped("ansible-test needs ssh-keygen (Debian: apt-get install openssh-client)")
    output = workspace.commands(stage, core.bin).run("ansible-test", *arguments, "--color", "no")
    if _ALL_SKIPPED in output:
        raise Failed("ansible-test ran nothing: it skipped all targets")
    return output


def _targets_remark(output: str) -> str:
    """How many integration targets ran, and what ansible-test warned about."""
    return "; ".join(filter(None, [f"{len(_TARGET.findall(output))} targets", _remark(output)]))


def _remark(output: str) -> str:
    """What ansible-test warned about: this is how it says that it left something out."""
    remarks: dict[str, None] = {}
    not_run: dict[tuple[str, str], list[str]] = {}
    for text in _WARNING.findall(output):
        if match := _NOT_RUN.match(text):
            not_run.setdefault((match[1], match[3]), []).append(match[2])
        elif not _HARMLESS.match(text):
            remarks[text.strip()] = None
    for (test, reason), pythons in not_run.items():
        remarks[f"{test} not run on {', '.join(dict.fromkeys(pythons))}: {reason}"] = None
    return "; ".join(remarks)


def _pytest_counts(output: str) -> str:
    """What each pytest counted: ansible-test runs one for modules and one for the controller."""
    return " and ".join(_PYTEST.findall(output)) or "no counts"
