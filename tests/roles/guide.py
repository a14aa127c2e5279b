# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks and settings that the documentation of the roles shows, word for word."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from checks import (
    Hosts,
    begin,
    check_members,
    check_refused,
    check_unchanged,
    client_of,
    installed,
    member_ids,
    replace_dead,
    restart_all,
    step,
)
from harness.binaries import Binary
from harness.example_blocks import all_blocks
from hosts import Host
from load import check_all_there
from play import HERE, Cluster, Wrong
from visitors import context_of, visit

_GUIDE = "roles_guide"

_PLAYBOOKS = {
    "server": "an-etcd-cluster",
    "replace_member": "replace-what-is-broken-on-node3",
    "backup": "save-the-store-of-the-cluster",
    "application": "give-the-application-its-certificate",
}
"""The block of each role's playbook, and of the one that copies a certificate."""

_ENDPOINTS = "[http://10.0.1.10:2379, http://10.0.1.11:2379]"


def guide(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """All that the guide shows."""
    cluster = _shown(hosts[:3], work, installed(binaries[0], work))
    written = begin(cluster)
    _refuse_to_replace(cluster)
    replace_dead(cluster, 2)
    settings = _settings()
    with step("a setting of the guide: every node is restarted, under a load of writes"):
        written += restart_all(cluster, settings["etcd_server_snapshot_count"])
    with step(
        "an application gets its certificate as the guide does it; the authority is new enough"
    ):
        cluster.variables.update(settings["etcd_server_tls_clients"])
        cluster.variables.update(settings["etcd_server_ca_newer_than"])
        cluster.must("server")
        cluster.must("application")
        folder = Path(f"{cluster.work}/app")
        if isinstance(cluster.hosts[0], Host):
            folder = cluster.hosts[0].root / str(folder).lstrip("/")
        for address in (host.client for host in cluster.hosts):
            visit(address, context_of(folder))
        check_unchanged(cluster)
    tls = _connection(cluster, "etcd_backup")
    with step("the store is saved, and brought back after it was emptied"):
        cluster.must("backup", extra=tls)
        client_of(cluster).rmdir("/begin", recursive=True)
        _restore(cluster)
        check_all_there(client_of(cluster), written)
    with step("a host more in the group: it joins"):
        cluster.hosts = hosts[:4]
        cluster.must("server")
        check_members(cluster, 4)
    with step("node3 is marked as the guide does it: it leaves"):
        cluster.own["node3"] = settings["node3"]
        cluster.must("server")
        check_members(cluster, 3)
    with step("the second run changes nothing"):
        check_unchanged(cluster)
    with step(f"all {len(written)} acknowledged writes are there"):
        check_all_there(client_of(cluster), written)


def _refuse_to_replace(cluster: Cluster) -> None:
    """Replacing a member, with the variables in another play than where they are needed."""
    without = Cluster(cluster.hosts, cluster.work, dict(cluster.variables), playbooks=HERE)
    without.variables["etcd_server_tls_mode"] = "none"
    sentence = "the variables of the role server belong into the inventory"
    with step("replace_member without the variables of the cluster says so, and changes nothing"):
        before = member_ids(cluster)
        outcome = without.run("replace_member", "--limit", "node3")
        check_refused(outcome, f"this node serves https and .* http.*{sentence}")
        cluster.hosts[2].run("mv", "/etc/etcd", "/etc/etcd.away")
        check_refused(without.run("replace_member", "--limit", "node3"), sentence)
        cluster.hosts[2].run("sh", "-c", "rm -rf /etc/etcd && mv /etc/etcd.away /etc/etcd")
        if member_ids(cluster) != before:
            raise Wrong("the members are others than before")


def _shown(hosts: Hosts, work: Path, variables: Mapping[str, object]) -> Cluster:
    """A cluster by the guide's playbooks."""
    # What the guide's inventory says of all nodes, and nothing that its plays would need beside it.
    more = {
        **_settings()["etcd"]["etcd"]["vars"],
        "etcd_backup_directory": str(work / "backups"),
        # The play asks for it, and there is nobody else to become here.
        "ansible_become": False,
    }
    # The folder of the authority is the guide's own.
    rest = {name: value for name, value in variables.items() if name != "etcd_server_ca_dir"}
    return Cluster(hosts, work, {**rest, **more}, playbooks=_written(hosts, work))


def _written(hosts: Hosts, work: Path) -> Path:
    """A folder with the guide's playbooks; one that writes keys is the tests' own."""
    blocks = {(one.document, one.name): one.text for one in all_blocks()}
    endpoints = ", ".join(f"https://{host.client}" for host in hosts[:2])
    for role, block in _PLAYBOOKS.items():
        text = blocks[_GUIDE, block]
        if role in ("server", "replace_member") and text != blocks[role, block]:
            raise Wrong(f"the README of the role {role} shows another playbook than the guide")
        text = text.replace(_ENDPOINTS, f"[{endpoints}]")
        # There is no host of an application's own, and a folder of the machine may be no namespace's.
        text = text.replace("hosts: app", "hosts: node1").replace("/etc/app/etcd/", f"{work}/app/")
        (work / f"{role}.yml").write_text(text)
    (work / "write.yml").write_text((HERE / "write.yml").read_text())
    return work


def _settings() -> dict[str, Any]:
    """The guide's variables and lines of the inventory, each by the first name in it."""
    found = {}
    for block in all_blocks():
        if block.document == _GUIDE and block.language == "yaml":
            content = yaml.safe_load(block.text)
            if isinstance(content, dict):
                found[next(iter(content))] = content
    node3 = dict(found["node3"]["node3"])
    del node3["ansible_host"]
    return found | {"node3": node3}


def _connection(cluster: Cluster, prefix: str) -> dict[str, object]:
    """Variables for a role or playbook that is to speak TLS, on a node, as the node itself."""
    pki = f"{cluster.hosts[0].config}/pki"
    files = {"ca_cert": "ca.pem", "client_cert": "cert.pem", "client_key": "key.pem"}
    return {f"{prefix}_{name}": f"{pki}/{file}" for name, file in files.items()}


def _restore(cluster: Cluster) -> None:
    """The guide's command, with the name that the file has here."""
    (command,) = (
        one.text for one in all_blocks() if one.document == _GUIDE and one.language == "console"
    )
    dollar, program, playbook, *arguments = shlex.split(command)
    if (dollar, program, len(arguments)) != ("$", "ansible-playbook", 2):
        raise Wrong(f"the guide's command is another one: {command}")
    variable = arguments[1].partition("=")[0]
    saved = cluster.hosts[0].run("sh", "-c", f"ls {cluster.work}/backups/*.json").split()
    extra: Mapping[str, object] = {
        variable: saved[-1],
        "etcd_restore_hosts": "etcd",
        "etcd_restore_endpoints": cluster.endpoints,
        **_connection(cluster, "etcd_restore"),
    }
    if not cluster.must(playbook, extra=extra).changed:
        raise Wrong("the backup was brought back, and nothing changed")
