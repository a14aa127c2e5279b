# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the parts have in common: steps, and the questions that they ask a cluster."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.module_utils.errors import EtcdException
from harness.binaries import Binary
from hosts import Host, LoopbackHost
from load import Load
from play import HERE, Cluster, NotSeen, Outcome, Wrong

Hosts = list[Host] | list[LoopbackHost]

_INTERNAL_CA = HERE.parents[1] / "roles" / "server" / "files" / "internal_ca.py"


def installed(binary: Binary, work: Path) -> dict[str, object]:
    """The variables that install this server from an archive, which is made in `work`."""
    archive = work / f"etcd-{binary.version}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(binary.path, f"etcd-v{binary.version}/etcd", filter=executable)
    return {
        "etcd_server_service_manager": "process",
        "etcd_server_install_method": "archive",
        "etcd_server_archive": str(archive),
        "etcd_server_archive_checksum": f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}",
        "etcd_server_version": binary.version,
        "etcd_server_ca_dir": str(work / "pki"),
        "etcd_server_python_package": "",
    }


def executable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode, member.uid, member.gid, member.uname, member.gname = (0o755, 0, 0, "", "")
    return member


def make_certificate(folder: Path, name: str, *names: str) -> None:
    """`NAME.pem` and `NAME-key.pem`, of the authority that is in the folder, or is made there."""
    lifetime = ("--days", "30", "--renew-days", "1")
    for command in (
        ("authority", folder, *lifetime),
        ("node", folder, *lifetime, "--name", name, "--common-name", name, "--names", *names),
    ):
        subprocess.run([sys.executable, _INTERNAL_CA, *command], check=True, capture_output=True)


def in_namespaces(hosts: Hosts) -> list[Host]:
    """The hosts, if they are of the kind that has owners, mounts and a name service.

    Raises:
        NotSeen: if they are not.
    """
    spaces = [host for host in hosts if isinstance(host, Host)]
    if not spaces:
        raise NotSeen("it needs hosts in network namespaces, which root makes")
    return spaces


@contextmanager
def step(text: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"    {time.monotonic() - start:5.1f} s  {text}", flush=True)


def begin(cluster: Cluster) -> list[str]:
    """Three bare hosts become a cluster that holds two keys."""
    with step("three bare hosts become a cluster"):
        cluster.must("server")
        check_members(cluster, 3)
    if cluster.encrypted:
        check_certificates_are_asked_for(cluster)
    with step("keys are written through etcd_key"):
        cluster.write(["/begin/0", "/begin/1"])
    with step("the second run changes nothing"):
        check_unchanged(cluster)
    return ["/begin/0", "/begin/1"]


def restart_all(cluster: Cluster, change: dict[str, object]) -> list[str]:
    """Change variables; all nodes are restarted, and the writes of the load are returned."""
    before = processes(cluster)
    cluster.variables.update(change)
    with Load(client_of(cluster), "/load") as load:
        cluster.must("server")
    after = processes(cluster)
    if any(before[name] == after[name] for name in before):
        raise Wrong(f"not every node was restarted: {before} before, {after} after")
    if len(load.acknowledged) < 20:
        raise Wrong(f"only {len(load.acknowledged)} writes were acknowledged meanwhile")
    print(
        f"             {len(load.acknowledged)} acknowledged, {len(load.refused)} not", flush=True
    )
    return load.acknowledged


def processes(cluster: Cluster) -> dict[str, str]:
    """The process of the role on each host, and when it began; empty where none runs."""
    if any(isinstance(host, Host) and host.systemd for host in cluster.hosts):
        words = (
            "systemctl",
            "show",
            "--value",
            "-p",
            "ExecMainPID",
            "-p",
            "ExecMainStartTimestamp",
        )
        return {
            host.name: "" if pid_of(host) == 0 else host.run(*words, "etcd").strip()
            for host in cluster.hosts
        }
    command = "cat {}/etcd.pid 2>/dev/null || true"
    return {
        host.name: alive(host.run("sh", "-c", command.format(host.config)), host)
        for host in cluster.hosts
    }


def pid_of(host: Host | LoopbackHost) -> int:
    """The process that systemd runs as etcd, in the host's own counting; 0 for none."""
    return int(host.run("systemctl", "show", "--value", "-p", "MainPID", "etcd").strip() or 0)


def alive(noted: str, host: Host | LoopbackHost) -> str:
    """The noted process, if it is there; one that has ended and that nobody waits for is not."""
    if not noted.strip():
        return ""
    status = f"/proc/{noted.split()[0]}/status"
    state = host.run("sh", "-c", f"grep ^State: {status} 2>/dev/null || true").split()
    return noted.strip() if state and state[1] != "Z" else ""


def check_refused(outcome: Outcome, sentence: str) -> None:
    if outcome.passed:
        raise Wrong("the playbook passed")
    others = [text for text in outcome.refusals if not re.search(sentence, text)]
    if others or not outcome.refusals:
        raise Wrong(
            f"there is no refusal with {sentence!r}, or others too:\n{outcome.output[-6000:]}"
        )


def check_untouched(cluster: Cluster) -> None:
    """No host has a process of the role, or something that starts one."""
    for host in cluster.hosts:
        for name in ("etcd.pid", "etcd-process", "initial.json"):
            if exists(host, f"{host.config}/{name}"):
                raise Wrong(f"{host.name} has {host.config}/{name}")


def check_unchanged(cluster: Cluster) -> None:
    outcome = cluster.must("server")
    if outcome.changed:
        raise Wrong(f"the second run changed something:\n{outcome.output[-6000:]}")


def client_of(cluster: Cluster) -> Client:
    return Client(cluster.endpoints, **cluster.credentials)


def check_members(cluster: Cluster, count: int) -> None:
    asked = client_of(cluster)
    members = asked.members()
    names = sorted(member.name for member in members)
    if len(members) != count or len(set(names)) != count:
        raise Wrong(f"the members are {names}, and not {count}")
    gone = {name for name, own in cluster.own.items() if own.get("etcd_server_state") == "absent"}
    for host, endpoint in zip(cluster.hosts, cluster.endpoints, strict=True):
        if host.name in gone:
            continue
        try:
            alone = Client(endpoint, **cluster.credentials)
            alone.members()
            host.versions.add(alone.version_server())
        except EtcdException as exc:
            raise Wrong(f"{host.name} does not answer: {exc}\n{end_of_log(host)}") from exc


def end_of_log(host: Host | LoopbackHost) -> str:
    """What is left of its etcd: the last lines of its log, and whether the process is there."""
    look = "cat {0}/etcd.pid; pgrep -a etcd; tail -n 40 {1}"
    command = f"({look.format(host.config, host.log)}) 2>&1 || true"
    return host.run("sh", "-c", command)


def member_ids(cluster: Cluster) -> set[str]:
    return {member.id for member in client_of(cluster).members()}


def check_replaced(cluster: Cluster, before: set[str]) -> None:
    """One of the members before is another one now, and all answer."""
    check_members(cluster, len(cluster.hosts))
    after = member_ids(cluster)
    if len(before - after) != 1:
        raise Wrong(f"not one member was replaced: {before} before, {after} after")


def replace_dead(cluster: Cluster, index: int) -> None:
    """A host dies with its disk; another one gets its name, and the role."""
    host = cluster.hosts[index]
    with step(f"{host.name} dies with its files, and is replaced"):
        before = member_ids(cluster)
        host.burn()
        host.start()
        cluster.must("replace_member", "--limit", host.name)
        check_replaced(cluster, before)


def exists(host: Host | LoopbackHost, path: str) -> bool:
    return host.run("sh", "-c", f"test -e {path} && echo yes || true").strip() == "yes"


def check_certificates_are_asked_for(cluster: Cluster) -> None:
    with step("without a client certificate there is no answer"):
        stranger = Client(cluster.endpoints, ca_cert=str(cluster.pki / "ca.pem"), total_timeout=5)
        if answers(stranger.members):
            raise Wrong("the cluster answers clients without a certificate")


def answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except EtcdException:
        return False
    return True
