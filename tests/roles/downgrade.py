# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part `downgrade`: no node goes down to an older release by itself, and one that ends is noticed."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

from checks import (
    Hosts,
    check_members,
    check_refused,
    check_unchanged,
    client_of,
    exists,
    in_namespaces,
    installed,
    processes,
    step,
)
from harness.binaries import Binary
from play import Cluster, NotSeen, Wrong

_LAUNCHER = "/etc/etcd/etcd-process"
_REFUSED = "runs, or ran last, etcd {}, and is to get {}"


def downgrade(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Three nodes of a newer patch release, which are told to go down."""
    newer, older = _pair(binaries)
    spaces = in_namespaces(hosts)[:3]
    cluster = Cluster(spaces, work, installed(newer, work))
    with step(f"three bare hosts become a cluster of etcd {newer.version}"):
        if "can hold other data than the rest" in cluster.must("server").output:
            raise Wrong(f"{newer.version} is said to have the fault of 3.5.0")
        check_members(cluster, 3)
    down = Cluster(spaces, work, {**cluster.variables, **installed(older, work)})
    refused = _REFUSED.format(newer.version, older.version)
    before = processes(cluster)
    with step(f"etcd {older.version} is refused before anything is installed"):
        outcome = down.run("server")
        check_refused(outcome, f"{refused}.*set etcd_server_allow_downgrade to true")
        if exists(spaces[0], f"/opt/etcd/{older.version}") or processes(cluster) != before:
            raise Wrong("it was refused, and something is installed, or was restarted")
    with step(
        "so it is where another program has taken the server's place, and for a stopped node"
    ):
        path = f"/opt/etcd/{newer.version}/etcd"
        for host in spaces:
            host.run("cp", older.path, f"{path}.older")
            host.run("mv", f"{path}.older", path)
        unchecked = {"etcd_server_version": "", "etcd_server_install_method": "none"}
        unchecked["etcd_server_binary"] = path
        check_refused(cluster.run("server", extra=unchecked), refused)
        spaces[2].run(_LAUNCHER, "stop")
        check_refused(cluster.run("server", extra=unchecked), refused)
        if (now := processes(cluster)).pop("node3") or any(
            before[name] != now[name] for name in now
        ):
            raise Wrong(f"something was restarted: {before} before, {now} after")
        for host in spaces:
            host.run("cp", newer.path, f"{path}.newer")
            host.run("mv", f"{path}.newer", path)
        cluster.must("server")
        check_members(cluster, 3)
    allowed = {"etcd_server_allow_downgrade": True}
    for other in binaries:
        if other.version.split(".")[:2] < newer.version.split(".")[:2]:
            with step(f"etcd {other.version}, an older minor version, is refused even so"):
                minor = Cluster(spaces, work, {**cluster.variables, **installed(other, work)})
                outcome = minor.run("server", extra=allowed)
                check_refused(outcome, _REFUSED.format(newer.version, other.version))
    with step(f"etcd {older.version} where it is allowed"):
        outcome = down.must("server", extra=allowed)
        check_members(down, 3)
        if client_of(down).version_server() != older.version:
            raise Wrong(f"{client_of(down).version_server()} runs")
        known = older.version in ("3.5.0", "3.5.1", "3.5.2")
        if ("can hold other data than the rest" in outcome.output) != known:
            raise Wrong(f"what is known of {older.version} is not what is said:\n{outcome.output}")
    with step("the second run changes nothing"):
        check_unchanged(down)
    with step("a process that ends at once is noticed, and the end of its log is shown"):
        broken = {"etcd_server_settings": {"max-txn-ops": "none"}, "etcd_server_start_timeout": 300}
        outcome = down.run("server", extra=broken)
        check_refused(outcome, "ended, and is not there any more.*invalid value|it has ended")
        if "the last lines of its log" not in outcome.output:
            raise Wrong(f"its log is not shown:\n{outcome.output[-6000:]}")


def _pair(binaries: list[Binary]) -> tuple[Binary, Binary]:
    """Two servers of one minor version, the newer one first."""

    def number(binary: Binary) -> list[int]:
        return [int(part) for part in binary.version.split(".")]

    for newer, older in permutations(binaries, 2):
        if number(newer)[:2] == number(older)[:2] and number(newer) > number(older):
            return newer, older
    raise NotSeen("there are no two servers of one minor version here")
