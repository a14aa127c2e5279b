# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part `hostile`: names and files by which somebody else would become root."""

from __future__ import annotations

import time
from pathlib import Path

from checks import (
    Hosts,
    check_members,
    check_refused,
    check_unchanged,
    check_untouched,
    client_of,
    exists,
    in_namespaces,
    installed,
    step,
)
from harness.binaries import Binary
from hosts import Host
from play import Cluster, Wrong

_LAUNCHER = "/etc/etcd/etcd-process"
_PWNED = "/srv/pwned"
_BAD_NAME = f"x$(id >{_PWNED})"

_PLAIN = "it has to begin with a letter, a digit or an underscore"
_ABSOLUTE = "it has to be an absolute path of letters"
_FIT = "a value has nothing that an environment file cannot hold"
_REFUSED: list[tuple[str, str, list[dict[str, object]]]] = [
    (
        "names",
        _PLAIN,
        [
            {"etcd_server_name": _BAD_NAME},
            {"etcd_server_name": 'x"\nETCD_ENABLE_PPROF="true'},
            {"etcd_server_name": "node3\n"},
            {"etcd_server_name": ".."},
            {"etcd_server_user": "root\nUMask=0"},
        ],
    ),
    (
        "paths",
        _ABSOLUTE,
        [
            {"etcd_server_data_dir": "/var/lib/etcd/../../../etc"},
            {"etcd_server_data_dir": "/srv/a b"},
            {"etcd_server_log_file": "/var/log/etcd/$(id).log"},
            {"etcd_server_config_dir": "/srv/%H\n"},
            {"etcd_server_wal_dir": "srv"},
        ],
    ),
    (
        "settings",
        _FIT,
        [
            {"etcd_server_initial_cluster_token": 'x"\nETCD_NAME="y'},
            {"etcd_server_settings": {"max-txn-ops": "1\r2"}},
            {"etcd_server_settings": {"max-txn-ops": _BAD_NAME}},
            {"etcd_server_settings": {"max-txn-ops|x\nY": 1}},
            {"etcd_server_settings": {"max-txn-ops": "`id`"}},
        ],
    ),
]
"""What stops the play, by the sentence that it stops with; each of the five hosts has one of its own."""


def hostile(hosts: Hosts, work: Path, binaries: list[Binary]) -> None:
    """Nobody gets more than etcd's user has, by what etcd's user, the inventory or the cluster say."""
    spaces = in_namespaces(hosts)
    if not spaces:
        return
    variables = installed(binaries[0], work)
    _refuse_settings(spaces, work, variables)
    _refuse_a_member(spaces[:2], work, variables, binaries[0])
    one = Cluster([spaces[2]], work, variables)
    with step("a node starts"):
        one.must("server")
        check_members(one, 1)
    _read_the_environment_as_data(one)


def _refuse_settings(hosts: list[Host], work: Path, variables: dict[str, object]) -> None:
    cluster = Cluster(hosts, work, variables)
    for what, sentence, wrong in _REFUSED:
        with step(f"{what} that would be more than that stop before anything is written"):
            cluster.own = {host.name: own for host, own in zip(hosts, wrong, strict=True)}
            outcome = cluster.run("server")
            check_refused(outcome, sentence)
            if len(outcome.refusals) != len(hosts):
                raise Wrong(f"not every host refused:\n{outcome.output[-6000:]}")
            check_untouched(cluster)


def _refuse_a_member(
    hosts: list[Host], work: Path, variables: dict[str, object], binary: Binary
) -> None:
    """Whoever may add a member chooses its name, which every later node would write down."""
    other, host = hosts
    peer = f"http://{other.address}:2380"
    client = f"http://{other.client}"
    words = (
        *("--name", _BAD_NAME, "--data-dir", "/srv/data", "--enable-v2"),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"{_BAD_NAME}={peer}"),
    )
    other.run(*("sh", "-c", 'setsid "$@" >/srv/log 2>&1 </dev/null &', "sh", binary.path, *words))
    alone = Cluster([other], work, variables)
    deadline = time.monotonic() + 30
    while not exists(other, "/srv/data/member/wal") or not _answers(alone):
        if time.monotonic() > deadline:
            raise Wrong(f"the strange member does not start:\n{other.run('cat', '/srv/log')}")
        time.sleep(0.5)
    with step("a host does not join a cluster with a member whose name is a command"):
        cluster = Cluster(hosts, work, variables)
        outcome = cluster.run("server", "--limit", host.name)
        if exists(host, _PWNED):
            raise Wrong("the name of a member became a command of root's")
        check_refused(outcome, "the cluster has a member with the name .*x[$][(]id")
        if len(client_of(alone).members()) != 1:
            raise Wrong("it was refused, and announced before")


def _answers(cluster: Cluster) -> bool:
    try:
        check_members(cluster, 1)
    except Exception:  # noqa: BLE001
        return False
    return True


def _read_the_environment_as_data(cluster: Cluster) -> None:
    (host,) = cluster.hosts
    assert isinstance(host, Host)
    with step("what is in the environment file is no shell code"):
        line = f'ETCD_STRANGE="$(id >{_PWNED}) `id >{_PWNED}` a=b"'
        with (host.root / "etc/etcd/etcd.env").open("a") as file:
            file.write(f"{line}\nid >{_PWNED}\nPATH=/nowhere\n")
        host.run(_LAUNCHER, "restart")
        if exists(host, _PWNED):
            raise Wrong("the environment file was run")
        program = "tr '\\0' '\\n' </proc/$(cut -d' ' -f1 /etc/etcd/etcd.pid)/environ"
        found = _until(host, program, "ETCD_STRANGE")
        if line.replace('"', "") not in found.splitlines() or "PATH=/nowhere" in found:
            raise Wrong(f"etcd's environment is\n{found}")
        cluster.must("server")
        check_members(cluster, 1)
        check_unchanged(cluster)


def _until(host: Host, program: str, word: str) -> str:
    """What a command prints, once it has the word in it."""
    deadline = time.monotonic() + 10
    while word not in (found := host.run("sh", "-c", program)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found
