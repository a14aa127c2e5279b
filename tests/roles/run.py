# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the roles over hosts of the project's own; `make roles` and the stage `roles` start it.

The last line of its output says what was seen.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from ansible_collections.quorum.etcd.plugins.module_utils.errors import EtcdException
from harness.binaries import Binary, find
from hosts import Bridge, Host, LoopbackHost, NoNamespaces
from load import Load, check_all_there
from play import HERE, Cluster, Outcome, Wrong

INTERNAL_CA = HERE.parents[1] / "roles" / "server" / "files" / "internal-ca"

AnyHost = TypeVar("AnyHost", Host, LoopbackHost)
Hosts = list[Host] | list[LoopbackHost]


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Runs the roles over hosts of our own.")
    parser.add_argument("--loopback", action="store_true", help="make no namespaces")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(_PARTS)} (default: all but short)")
    arguments = parser.parse_args()
    parts = arguments.parts or [part for part in _PARTS if part != "short"]
    if unknown := [part for part in parts if part not in _PARTS]:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(_PARTS)}")
    start = time.monotonic()
    binaries = find()
    if not binaries:
        print("FAILED: no etcd older than 3.6 was found")
        return 1
    seen = []
    try:
        for part in parts:
            with _hosts(5, loopback=arguments.loopback) as hosts, _folder() as work:
                where = "network namespaces" if isinstance(hosts[0], Host) else "loopback ports"
                print(f"==> {part}, on {where}", flush=True)
                _PARTS[part](hosts, work, binaries)
            seen.append(f"{part} on {where}")
    except Wrong as exc:
        print(f"FAILED: {exc}")
        return 1
    print(f"{', '.join(seen)}; etcd {binaries[0].version}, {time.monotonic() - start:.0f} s")
    return 0


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="quorum-roles-") as folder:
        yield Path(folder)


@contextmanager
def _hosts(count: int, *, loopback: bool) -> Iterator[Hosts]:
    """Hosts in namespaces if they can be made, or else folders and ports."""
    with ExitStack() as stack:
        yield _start_hosts(stack, range(1, count + 1), loopback=loopback)


def _start_hosts(stack: ExitStack, numbers: range, *, loopback: bool) -> Hosts:
    if not loopback:
        try:
            bridge = stack.enter_context(Bridge())
            return [_started(stack, Host(bridge, number)) for number in numbers]
        except NoNamespaces as exc:
            print(f"==> No namespaces here: {exc}", flush=True)
    return [_started(stack, LoopbackHost(number)) for number in numbers]


def _started(stack: ExitStack, host: AnyHost) -> AnyHost:
    stack.callback(host.remove)
    host.start()
    return host


def _installed(binary: Binary, work: Path) -> dict[str, object]:
    """The variables that install this server from an archive, which is made in `work`."""
    archive = work / f"etcd-{binary.version}.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(binary.path, f"etcd-v{binary.version}/etcd", filter=_executable)
    return {
        "etcd_server_service_manager": "process",
        "etcd_server_install_method": "archive",
        "etcd_server_archive": str(archive),
        "etcd_server_archive_checksum": f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}",
        "etcd_server_version": binary.version,
        "etcd_server_ca_dir": str(work / "pki"),
        "etcd_server_python_package": "",
    }


def _executable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode, member.uid, member.gid, member.uname, member.gname = 0o755, 0, 0, "", ""
    return member


@contextmanager
def _step(text: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"    {time.monotonic() - start:5.1f} s  {text}", flush=True)


def _short(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Three nodes; the second run; one dead and replaced."""
    cluster = Cluster(hosts[:3], work, _installed(binaries[0], work))
    written = _begin(cluster)
    _replace(cluster, 2)
    check_all_there(_client(cluster), written)


def _tls(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """A whole life with TLS and client certificates."""
    tls = {"etcd_server_tls_mode": "internal_ca", "etcd_server_config_format": "yaml"}
    _life(Cluster(hosts[:3], work, {**_installed(binaries[0], work), **tls}), hosts)


def _upgrade(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Three nodes of the oldest server become nodes of the newest, under a load of writes."""
    oldest, newest = binaries[-1], binaries[0]
    if oldest == newest:
        print(f"==> There is no other server than {newest.version} here: no upgrade", flush=True)
        return
    cluster = Cluster(hosts[:3], work, _installed(oldest, work))
    written = _begin(cluster)
    with _step(f"etcd {oldest.version} becomes etcd {newest.version}, under a load of writes"):
        written += _restart_all(cluster, _installed(newest, work))
    client = _client(cluster)
    minor = newest.version.rpartition(".")[0]
    if client.version_server() != newest.version or not client.version_cluster().startswith(minor):
        raise Wrong(f"{client.version_server()} runs, in a cluster of {client.version_cluster()}")
    with _step("the second run changes nothing"):
        _check_unchanged(cluster)
    with _step(f"all {len(written)} acknowledged writes are there"):
        check_all_there(client, written)


def _restart_all(cluster: Cluster, change: dict[str, object]) -> list[str]:
    """Change variables; all nodes are restarted, and the writes of the load are returned."""
    before = _processes(cluster)
    cluster.variables.update(change)
    with Load(_client(cluster), "/load") as load:
        cluster.must("server")
    after = _processes(cluster)
    if any(before[name] == after[name] for name in before):
        raise Wrong(f"not every node was restarted: {before} before, {after} after")
    if len(load.acknowledged) < 20:
        raise Wrong(f"only {len(load.acknowledged)} writes were acknowledged meanwhile")
    print(
        f"             {len(load.acknowledged)} acknowledged, {len(load.refused)} not", flush=True
    )
    return load.acknowledged


def _life(cluster: Cluster, hosts: Hosts) -> None:
    """From three bare hosts on, through all that a cluster sees; nothing acknowledged is lost."""
    with _step("check mode touches nothing"):
        cluster.must("server", "--check")
        _check_untouched(cluster)
    written = _begin(cluster)
    with _step("two hosts more in the group: both join"):
        cluster.hosts = hosts
        cluster.must("server")
        _check_members(cluster, 5)
    cluster.write(["/grown/0", "/grown/1"])
    written += ["/grown/0", "/grown/1"]
    _replace(cluster, 3)
    with _step("replace_member leaves a healthy node alone"):
        outcome = cluster.must("replace_member", "--limit", cluster.hosts[3].name)
        if outcome.changed:
            raise Wrong(f"it changed something:\n{outcome.output[-6000:]}")
    change = {"etcd_server_heartbeat_interval": 120, "etcd_server_election_timeout": 1200}
    with _step("changed settings: every node is restarted, under a load of writes"):
        written += _restart_all(cluster, change)
    after = _processes(cluster)
    with _step("a host marked for removal: it leaves, and nothing else is restarted"):
        cluster.own["node5"] = {"etcd_server_state": "absent"}
        cluster.must("server")
        _check_members(cluster, 4)
        now = _processes(cluster)
        if now.pop("node5") or any(now[name] != after[name] for name in now):
            raise Wrong(f"others than node5 were touched: {after} before, {now} after")
    with _step("the second run changes nothing"):
        _check_unchanged(cluster)
    with _step(f"all {len(written)} acknowledged writes are there"):
        check_all_there(_client(cluster), written)


def _begin(cluster: Cluster) -> list[str]:
    """Three bare hosts become a cluster that holds two keys."""
    with _step("three bare hosts become a cluster"):
        cluster.must("server")
        _check_members(cluster, 3)
    if cluster.encrypted:
        _check_certificates_are_asked_for(cluster)
    with _step("keys are written through etcd_key"):
        cluster.write(["/begin/0", "/begin/1"])
    with _step("the second run changes nothing"):
        _check_unchanged(cluster)
    return ["/begin/0", "/begin/1"]


def _replace(cluster: Cluster, index: int) -> None:
    """A host dies with its disk; another one gets its name, and the role."""
    host = cluster.hosts[index]
    with _step(f"{host.name} dies with its files, and is replaced"):
        size = len(cluster.hosts)
        before = {member.id for member in _client(cluster).members()}
        host.burn()
        host.start()
        cluster.must("replace_member", "--limit", host.name)
        _check_members(cluster, size)
        after = {member.id for member in _client(cluster).members()}
        if len(before - after) != 1:
            raise Wrong(f"the member of {host.name} is the old one: {before} before, {after} after")


def _refusals(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Each wrong setting ends with its sentence, and with nothing started."""
    cluster = Cluster(hosts[:3], work, _installed(binaries[0], work))
    first = cluster.hosts[0]
    named = ",".join(
        f"{host.name}=http://{host.variables()['ansible_host']}:"
        f"{host.variables().get('etcd_server_peer_port', 2380)}"
        for host in cluster.hosts[:2]
    )
    stranger = _certificate_of_another(cluster)
    no_checksum = {"etcd_server_archive_checksum": ""}
    other_checksum = {"etcd_server_archive_checksum": "sha256:" + "0" * 64}
    no_v2 = {"etcd_server_version": "3.6.0"}
    unknown = {"etcd_server_initial_cluster": f"{named},node3=http://nowhere.invalid:2380"}
    rows: list[tuple[str, dict[str, object], str]] = [
        (
            "a bad URL",
            {"etcd_server_advertise_client_urls": ["http://x"]},
            "is no URL that etcd can",
        ),
        (
            "an unknown host in the initial cluster",
            unknown,
            "node3=|cannot resolve nowhere.invalid",
        ),
        ("a certificate of another host", stranger, "is not for .*subject alternative name"),
        ("an archive without checksum", no_checksum, "nothing is installed unchecked"),
        ("another archive than was meant", other_checksum, "is not the archive with the checksum"),
        ("a version without the v2 API", no_v2, "3.6.0 does not serve the v2 API any more"),
        ("timeouts that do not fit", {"etcd_server_election_timeout": 200}, "at least 5 times"),
        (
            "a setting that etcd lacks",
            {"etcd_server_settings": {"no-such": 1}},
            "no setting no-such",
        ),
        ("a setting made twice", {"etcd_server_settings": {"name": "x"}}, "variables of its own"),
    ]
    for title, wrong, sentence in rows:
        with _step(f"{title} stops before a service is touched"):
            outcome = cluster.run("server", extra=wrong)
            _check_refused(outcome, sentence)
            _check_untouched(cluster)
    with _step("a bad URL of one host stops all"):
        cluster.own[first.name] = {"etcd_server_advertise_peer_urls": ["ftp://x:1"]}
        _check_refused(cluster.run("server"), "ftp://x:1 is no URL that etcd can")
        _check_untouched(cluster)


def _check_refused(outcome: Outcome, sentence: str) -> None:
    if outcome.passed:
        raise Wrong("the playbook passed")
    others = [text for text in outcome.refusals if not re.search(sentence, text)]
    if others or not outcome.refusals:
        raise Wrong(
            f"there is no refusal with {sentence!r}, or others too:\n{outcome.output[-6000:]}"
        )


def _certificate_of_another(cluster: Cluster) -> dict[str, object]:
    folder = cluster.work / "another"
    subprocess.run([INTERNAL_CA, "authority", folder, "30"], check=True, capture_output=True)
    words = ("30", "1", "stranger", "DNS:stranger.example")
    subprocess.run([INTERNAL_CA, "node", folder, *words], check=True, capture_output=True)
    return {
        "etcd_server_tls_mode": "files",
        "etcd_server_tls_ca": str(folder / "ca.pem"),
        "etcd_server_tls_cert": str(folder / "stranger.pem"),
        "etcd_server_tls_key": str(folder / "stranger-key.pem"),
    }


def _processes(cluster: Cluster) -> dict[str, str]:
    """What etcd-process knows of the process on each host; empty where none was started."""
    command = "cat {}/etcd.pid 2>/dev/null || true"
    return {
        host.name: _alive(host.run("sh", "-c", command.format(host.config)), host)
        for host in cluster.hosts
    }


def _alive(noted: str, host: Host | LoopbackHost) -> str:
    """The noted process, if it is there."""
    if not noted.strip():
        return ""
    there = host.run("sh", "-c", f"test -d /proc/{noted.split()[0]} && echo yes || true")
    return noted.strip() if there.strip() else ""


def _check_untouched(cluster: Cluster) -> None:
    """No host has a process of the role, or something that starts one."""
    for host in cluster.hosts:
        for name in ("etcd.pid", "etcd-process", "initial.json"):
            there = host.run("sh", "-c", f"test -e {host.config}/{name} && echo yes || true")
            if there.strip():
                raise Wrong(f"{host.name} has {host.config}/{name}")


def _check_unchanged(cluster: Cluster) -> None:
    outcome = cluster.must("server")
    if outcome.changed:
        raise Wrong(f"the second run changed something:\n{outcome.output[-6000:]}")


def _client(cluster: Cluster) -> Client:
    return Client(cluster.endpoints, **cluster.credentials)


def _check_members(cluster: Cluster, count: int) -> None:
    client = _client(cluster)
    members = client.members()
    names = sorted(member.name for member in members)
    if len(members) != count or len(set(names)) != count:
        raise Wrong(f"the members are {names}, and not {count}")
    gone = {name for name, own in cluster.own.items() if own.get("etcd_server_state") == "absent"}
    for host, endpoint in zip(cluster.hosts, cluster.endpoints, strict=True):
        if host.name not in gone and not _answers(Client(endpoint, **cluster.credentials).members):
            raise Wrong(f"{host.name} does not answer at {endpoint}")


def _check_certificates_are_asked_for(cluster: Cluster) -> None:
    with _step("without a client certificate there is no answer"):
        stranger = Client(cluster.endpoints, ca_cert=str(cluster.pki / "ca.pem"), total_timeout=5)
        if _answers(stranger.members):
            raise Wrong("the cluster answers clients without a certificate")


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except EtcdException:
        return False
    return True


_PARTS = {"short": _short, "refusals": _refusals, "tls": _tls, "upgrade": _upgrade}


if __name__ == "__main__":
    for name in [
        name for name in os.environ if re.match("ANSIBLE_(?!COLLECTIONS_PATH)|ETCD", name)
    ]:
        del os.environ[name]
    sys.exit(main())
