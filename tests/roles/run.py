# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the roles over hosts of the project's own; `make roles` and the stage `roles` start it.

The last line of its output says what was seen.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from authority import certificates, renewal
from checks import (
    Hosts,
    begin,
    check_members,
    check_refused,
    check_unchanged,
    check_untouched,
    client_of,
    installed,
    make_certificate,
    processes,
    replace_dead,
    restart_all,
    step,
)
from downgrade import downgrade
from guide import guide
from harness.binaries import Binary, find
from harness.namespaces import Bridge, NoNamespaces
from hosts import Host, LoopbackHost
from hostile import hostile
from load import check_all_there
from play import Cluster, NotSeen, Wrong
from redhat import redhat
from replacing import replace
from single import discovery, settings, snapshot, systemd

AnyHost = TypeVar("AnyHost", Host, LoopbackHost)


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
            loopback = arguments.loopback or part == "loopback"
            with _hosts(5, loopback=loopback) as hosts, _folder() as work:
                where = "network namespaces" if isinstance(hosts[0], Host) else "loopback ports"
                print(f"==> {part}, on {where}", flush=True)
                try:
                    _PARTS[part](hosts, work, binaries)
                except NotSeen as exc:
                    if part in arguments.parts:
                        raise Wrong(f"{part} was asked for, and cannot be run: {exc}") from exc
                    print(f"==> Not seen: {exc}", flush=True)
                    seen.append(f"{part} not seen")
                else:
                    seen.append(f"{part} on {where}, {_answered(hosts)}")
    except Wrong as exc:
        print(f"FAILED: {exc}")
        return 1
    print(f"{'; '.join(seen)}; {time.monotonic() - start:.0f} s")
    return 0


def _answered(hosts: Hosts) -> str:
    """The servers that answered in a part, in words."""
    versions = sorted({version for host in hosts for version in host.versions})
    return f"etcd {' and '.join(versions)}" if versions else "no server"


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


def _short(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Three nodes; the second run; one dead and replaced."""
    cluster = Cluster(hosts[:3], work, installed(binaries[0], work))
    written = begin(cluster)
    replace_dead(cluster, 2)
    check_all_there(client_of(cluster), written)


def _tls(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """A whole life with TLS and client certificates."""
    tls = {"etcd_server_tls_mode": "internal_ca", "etcd_server_config_format": "yaml"}
    _life(Cluster(hosts[:3], work, {**installed(binaries[0], work), **tls}), hosts)


def _upgrade(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Three nodes of the oldest server become nodes of the newest, under a load of writes."""
    oldest, newest = binaries[-1], binaries[0]
    if oldest == newest:
        raise NotSeen(f"there is no other server than {newest.version} here")
    cluster = Cluster(hosts[:3], work, installed(oldest, work))
    written = begin(cluster)
    with step(f"etcd {oldest.version} becomes etcd {newest.version}, under a load of writes"):
        written += restart_all(cluster, installed(newest, work))
    client = client_of(cluster)
    minor = newest.version.rpartition(".")[0]
    if client.version_server() != newest.version or not client.version_cluster().startswith(minor):
        raise Wrong(f"{client.version_server()} runs, in a cluster of {client.version_cluster()}")
    with step("the second run changes nothing"):
        check_unchanged(cluster)
        check_members(cluster, 3)
    with step(f"all {len(written)} acknowledged writes are there"):
        check_all_there(client, written)


def _life(cluster: Cluster, hosts: Hosts) -> None:
    """From three bare hosts on, through all that a cluster sees; nothing acknowledged is lost."""
    with step("check mode touches nothing"):
        cluster.must("server", "--check")
        check_untouched(cluster)
    written = begin(cluster)
    with step("two hosts more in the group: both join"):
        cluster.hosts = hosts
        cluster.must("server")
        check_members(cluster, 5)
    cluster.write(["/grown/0", "/grown/1"])
    written += ["/grown/0", "/grown/1"]
    replace_dead(cluster, 3)
    with step("replace_member leaves a healthy node alone"):
        outcome = cluster.must("replace_member", "--limit", cluster.hosts[3].name)
        if outcome.changed:
            raise Wrong(f"it changed something:\n{outcome.output[-6000:]}")
    change = {"etcd_server_heartbeat_interval": 120, "etcd_server_election_timeout": 1200}
    with step("changed settings: every node is restarted, under a load of writes"):
        written += restart_all(cluster, change)
    after = processes(cluster)
    with step("a host marked for removal: it leaves, and nothing else is restarted"):
        cluster.own["node5"] = {"etcd_server_state": "absent"}
        cluster.must("server")
        check_members(cluster, 4)
        now = processes(cluster)
        if now.pop("node5") or any(now[name] != after[name] for name in now):
            raise Wrong(f"others than node5 were touched: {after} before, {now} after")
    with step("the second run changes nothing"):
        check_unchanged(cluster)
    with step(f"all {len(written)} acknowledged writes are there"):
        check_all_there(client_of(cluster), written)


def _refusals(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Each wrong setting ends with its sentence, and with nothing started."""
    cluster = Cluster(hosts[:3], work, installed(binaries[0], work))
    first = cluster.hosts[0]
    stranger = _certificate_of_another(cluster)
    no_checksum = {"etcd_server_archive_checksum": ""}
    other_checksum = {"etcd_server_archive_checksum": "sha256:" + "0" * 64}
    no_v2 = {"etcd_server_version": "3.6.0"}
    mine = f"{_initial_cluster(cluster.hosts[:2])},node3=http://nowhere.invalid:2380"
    strange = f"{_initial_cluster(cluster.hosts)},node9=http://nowhere.invalid:2380"
    rows: list[tuple[str, dict[str, object], str]] = [
        (
            "a bad URL",
            {"etcd_server_advertise_client_urls": ["http://x"]},
            "is no URL that etcd can",
        ),
        (
            "an initial cluster without this node",
            {"etcd_server_initial_cluster": mine},
            "must be NAME=URL,NAME=URL and name this node as node3=http://",
        ),
        (
            "an unknown host in the initial cluster",
            {"etcd_server_initial_cluster": strange},
            "cannot resolve nowhere.invalid, of the initial cluster",
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
        (
            "a setting made twice",
            {"etcd_server_settings": {"election-timeout": 100}},
            "variables of its own",
        ),
    ]
    for title, wrong, sentence in rows:
        with step(f"{title} stops before a service is touched"):
            outcome = cluster.run("server", extra=wrong)
            check_refused(outcome, sentence)
            check_untouched(cluster)
    with step("a bad URL of one host stops all"):
        cluster.own[first.name] = {"etcd_server_advertise_peer_urls": ["ftp://x:1"]}
        check_refused(cluster.run("server"), "ftp://x:1 is no URL that etcd can")
        check_untouched(cluster)


def _initial_cluster(hosts: Hosts) -> str:
    """What the role would make of these hosts, without TLS."""
    return ",".join(
        f"{host.name}=http://{host.address}:{host.variables().get('etcd_server_peer_port', 2380)}"
        for host in hosts
    )


def _certificate_of_another(cluster: Cluster) -> dict[str, object]:
    folder = cluster.work / "another"
    make_certificate(folder, "stranger", "DNS:stranger.example")
    return {
        "etcd_server_tls_mode": "files",
        "etcd_server_tls_ca": str(folder / "ca.pem"),
        "etcd_server_tls_cert": str(folder / "stranger.pem"),
        "etcd_server_tls_key": str(folder / "stranger-key.pem"),
    }


_PARTS = {
    "short": _short,
    "loopback": _short,
    "guide": guide,
    "refusals": _refusals,
    "hostile": hostile,
    "settings": settings,
    "discovery": discovery,
    "systemd": systemd,
    "redhat": redhat,
    "snapshot": snapshot,
    "replace": replace,
    "tls": _tls,
    "certificates": certificates,
    "renewal": renewal,
    "upgrade": _upgrade,
    "downgrade": downgrade,
}


if __name__ == "__main__":
    for name in [
        name for name in os.environ if re.match("ANSIBLE_(?!COLLECTIONS_PATH)|ETCD", name)
    ]:
        del os.environ[name]
    sys.exit(main())
