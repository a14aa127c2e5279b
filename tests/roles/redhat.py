# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A part about the package of the Red Hat family, on a host that is like one of that family.

The host has this machine's programs; what it says of itself, its package manager, the repository and the
package's layout are Fedora's. SELinux and the family's own Python are not seen here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from checks import (
    Hosts,
    check_members,
    check_unchanged,
    check_untouched,
    client_of,
    exists,
    in_namespaces,
    pid_of,
    processes,
    step,
)
from harness.binaries import Binary
from harness.namespaces import NoNamespaces
from hosts import Host
from load import check_all_there
from play import HERE, Cluster, NotSeen, Wrong

_TOOLS = ("dnf", "rpmbuild", "createrepo_c")
_FILES = {
    "/etc/os-release": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=38\n',
    "/etc/redhat-release": "Fedora release 38 (Thirty Eight)\n",
    "/etc/rpm/macros": "%_dbpath /var/lib/rpm\n",
    "/etc/yum.repos.d/test.repo": (
        "[test]\nname=test\nbaseurl=file:///srv/repository\ngpgcheck=0\nmetadata_expire=0\n"
    ),
    "/etc/systemd/system-preset/00-test.preset": "disable *\n",
}


def redhat(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """The package of the Red Hat family: installed by dnf, configured, started, and upgraded."""
    if missing := [tool for tool in _TOOLS if not shutil.which(tool)]:
        raise NotSeen(f"there is no {' and no '.join(missing)} here")
    spaces = in_namespaces(hosts)[:2]
    oldest, newest = binaries[-1], binaries[0]
    try:
        for host in spaces:
            host.boot_systemd()
            _make_redhat(host)
            _publish(host, oldest, work)
    except NoNamespaces as exc:
        raise NotSeen(str(exc)) from exc
    _check_bare(spaces[0], work, oldest, newest)
    _check_running(spaces[1], work, oldest)


def _check_bare(host: Host, work: Path, oldest: Binary, newest: Binary) -> None:
    settings = {
        "etcd_server_allow_downtime": True,
        "etcd_server_tls_mode": "internal_ca",
        "etcd_server_ca_dir": str(work / "pki"),
    }
    cluster = Cluster([host], work, settings)
    with step("check mode touches nothing"):
        cluster.must("server", "--check")
        check_untouched(cluster)
        if exists(host, "/usr/bin/etcd") or exists(host, "/etc/etcd"):
            raise Wrong("the package was installed")
    with step(f"dnf installs etcd {oldest.version}, and the node answers"):
        cluster.must("server")
        check_members(cluster, 1)
        _check_package(host, oldest)
        if "default.etcd" in host.run("journalctl", "--no-pager", "-u", "etcd"):
            raise Wrong("the service of the package was started, before that of the role")
    with step("the second run changes nothing"):
        check_unchanged(cluster)
    if oldest == newest:
        print(f"==> Not seen: there is no other server than {newest.version} here", flush=True)
        return
    _publish(host, newest, work)
    with step("a newer package is left alone"):
        check_unchanged(cluster)
    before = processes(cluster)
    cluster.write(["/before"])
    cluster.variables["etcd_server_package_state"] = "latest"
    with step(f"unless the latest is asked for: etcd {newest.version}, and what was written"):
        cluster.must("server")
        check_members(cluster, 1)
        _check_package(host, newest)
        check_all_there(client_of(cluster), ["/before"])
        if processes(cluster) == before:
            raise Wrong("the node was not restarted")
    with step("the second run changes nothing"):
        check_unchanged(cluster)


def _check_running(host: Host, work: Path, binary: Binary) -> None:
    """The package is there and its service runs, with its own settings, before the role does."""
    cluster = Cluster([host], work, {})
    host.run("dnf", "install", "-y", "etcd")
    host.run("systemctl", "start", "etcd")
    with step("a host that runs the service of the package gets that of the role"):
        cluster.must("server")
        check_members(cluster, 1)
        _check_package(host, binary)
    with step("the second run changes nothing"):
        check_unchanged(cluster)


def _make_redhat(host: Host) -> None:
    """Take away what is Debian's, and write what Ansible and dnf look at."""
    host.run("rm", "-f", "/var/lib/man-db/auto-update")
    host.run("dpkg", "--purge", "--force-depends", "etcd-server")
    host.run(
        "sh", "-c", "userdel etcd || true; rm -f /usr/bin/etcd /usr/bin/apt* /etc/debian_version"
    )
    for path, text in _FILES.items():
        # Outside, a link to an absolute path would lead to this machine's file.
        host.run(
            "sh",
            "-c",
            f"mkdir -p $(dirname {path}) && rm -f {path} && printf '%s' '{text}' >{path}",
        )


def _publish(host: Host, binary: Binary, work: Path) -> None:
    """Make the packages, and give the host's repository a version more."""
    made = work / f"rpm-{binary.version}"
    words = {"_topdir": made, "etcd_version": binary.version, "etcd_binary": binary.path}
    defined = [word for item in words.items() for word in ("--define", "{} {}".format(*item))]
    _quietly("rpmbuild", "-bb", *defined, str(HERE / "etcd.spec"))
    repository = work / "repository"
    repository.mkdir(exist_ok=True)
    for package in made.glob("RPMS/*/*.rpm"):
        shutil.copy(package, repository)
    _quietly("createrepo_c", str(repository))
    shutil.copytree(repository, host.root / "srv" / "repository", dirs_exist_ok=True)


def _quietly(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise Wrong(f"{command[0]} failed:\n{ended.stdout[-3000:]}{ended.stderr[-3000:]}")


def _check_package(host: Host, binary: Binary) -> None:
    if (found := host.run("rpm", "-q", "etcd").strip()).split("-")[:2] != ["etcd", binary.version]:
        raise Wrong(f"{host.name} has {found}")
    if (program := host.run("readlink", f"/proc/{pid_of(host)}/exe").strip()) != "/usr/bin/etcd":
        raise Wrong(f"{host.name} runs {program}")
    if (user := host.run("ps", "-o", "user=", "-C", "etcd").split()) != ["etcd"]:
        raise Wrong(f"etcd runs as {user}")
    unit = host.run(
        "systemctl", "show", "--value", "-p", "FragmentPath,UnitFileState", "etcd"
    ).split()
    if unit != ["/etc/systemd/system/etcd.service", "enabled"]:
        raise Wrong(f"the unit is {unit}")
    # Only the folder of the configuration is to be another than the package's.
    altered = host.run("sh", "-c", "rpm -V etcd || true").split("\n")
    if others := [
        line for line in altered if line and not re.fullmatch(r"\S+ +(\w )?/etc/etcd", line)
    ]:
        raise Wrong(f"the role altered files of the package: {others}")
