# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part `replace`: when a member is not replaced, and replacing that was interrupted."""

from __future__ import annotations

import time
from pathlib import Path

from checks import (
    Hosts,
    begin,
    check_members,
    check_refused,
    check_replaced,
    check_unchanged,
    client_of,
    exists,
    in_namespaces,
    installed,
    member_ids,
    processes,
    step,
)
from harness.binaries import Binary
from hosts import Host, LoopbackHost
from load import check_all_there
from play import Cluster, Wrong

_DATA = "/var/lib/etcd/node3"
_WAL = "/srv/wal"

_TASKS = (
    ("its member was removed", "Look whether the folder of the data is a mount point"),
    ("its data was set aside", "Forget how it began"),
    ("it was added again", "Say how it begins"),
    ("it was recorded how it began", "Write the configuration"),
    ("it was started", "Wait until it is healthy"),
)
"""After what replace_member is killed, and the task that comes next."""


def replace(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Three nodes; one is replaced again and again."""
    spaces = in_namespaces(hosts)[:3]
    cluster = Cluster(spaces, work, installed(binaries[0], work))
    cluster.variables["etcd_server_wal_dir"] = _WAL
    for host in spaces:
        host.run("mkdir", _WAL)
        host.run("mount", "-t", "tmpfs", "tmpfs", _WAL)
    written = begin(cluster)
    _refuse_without_quorum(cluster)
    _interrupt(cluster, spaces[2])
    _replace_on_a_mount_point(cluster, spaces[2])
    check_all_there(client_of(cluster), written)


def _refuse_without_quorum(cluster: Cluster) -> None:
    with step("two of three are dead: none is replaced, and the server role brings them back"):
        before = member_ids(cluster)
        for host in cluster.hosts[1:]:
            _kill(cluster, host)
        outcome = cluster.run("replace_member", "--limit", "node3")
        check_refused(
            outcome,
            "node3 is not replaced: the cluster has 3 members and needs 2 of them, "
            "and without this one [01] are healthy",
        )
        if not exists(cluster.hosts[2], f"{_DATA}/member"):
            raise Wrong("it was refused, and the data is gone")
        cluster.must("server")
        check_members(cluster, 3)
        if member_ids(cluster) != before:
            raise Wrong("the members are others than before")


def _interrupt(cluster: Cluster, host: Host) -> None:
    """Each run goes on where the one before was killed."""
    before = member_ids(cluster)
    _break(cluster, host)
    for after, task in _TASKS:
        with step(f"replace_member is killed after {after}"):
            cluster.interrupt(task, "replace_member", "--limit", host.name)
            # What was sent to the host ends by itself.
            time.sleep(2)
    with step("it is run again, to its end"):
        cluster.must("replace_member", "--limit", host.name)
        check_replaced(cluster, before)
        kept = host.run("sh", "-c", f"ls -d {_DATA}.*/member").split()
        if len(kept) != 1:
            raise Wrong(f"the data of the dead member is not there once: {kept}")
    with step("the second run changes nothing"):
        check_unchanged(cluster)


def _replace_on_a_mount_point(cluster: Cluster, host: Host) -> None:
    with step("a broken node whose folder of the data is a mount point is replaced"):
        before = member_ids(cluster)
        _break(cluster, host)
        host.run("mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", "/mnt")
        host.run("cp", "-a", f"{_DATA}/.", "/mnt")
        host.run("mount", "--move", "/mnt", _DATA)
        cluster.must("replace_member", "--limit", host.name)
        check_replaced(cluster, before)
        host.run("mountpoint", "-q", _DATA)
        kept = host.run("sh", "-c", f"ls -d {_DATA}/member.*").split()
        if len(kept) != 1:
            raise Wrong(f"the data of the dead member is not there once: {kept}")
    with step("another time, and its data is removed"):
        before = member_ids(cluster)
        _break(cluster, host)
        extra = {"etcd_replace_member_data": "remove"}
        cluster.must("replace_member", "--limit", host.name, extra=extra)
        check_replaced(cluster, before)
        if host.run("sh", "-c", f"ls -d {_DATA}/member.*").split() != kept:
            raise Wrong("other data than that of the dead member was removed, or none")


def _kill(cluster: Cluster, host: Host | LoopbackHost) -> None:
    host.run("kill", "-KILL", processes(cluster)[host.name].split()[0])


def _break(cluster: Cluster, host: Host) -> None:
    """Kill its etcd, and spoil the log that it would start from."""
    _kill(cluster, host)
    host.run("sh", "-c", f"for log in {_WAL}/wal/*.wal; do echo spoilt >$log; done")
