# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part `hostile`: names, links and files by which somebody else would become root."""

from __future__ import annotations

import shutil
import subprocess
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
from play import HERE, Cluster, Wrong

_ROLE = HERE.parents[1] / "roles" / "server"
_LAUNCHER = "/etc/etcd/etcd-process"
_PWNED = "/srv/pwned"
_BAD_NAME = f"x$(id >{_PWNED})"
_SECRET = "what only root may read"

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
    variables = installed(binaries[0], work)
    _refuse_settings(spaces, work, variables)
    _refuse_a_member(spaces[:2], work, variables, binaries[0])
    one = Cluster([spaces[2]], work, variables)
    with step("a node starts, and the play says that it is open to all who reach it"):
        if "http://" + one.hosts[0].client not in _warning(one.must("server").output):
            raise Wrong("nothing says that there is no TLS")
        check_members(one, 1)
    _read_the_environment_as_data(one)
    _take_over_a_log_of_root(one)
    _refuse_a_link_for_a_log(one)
    _refuse_a_link_for_data(Cluster([spaces[3]], work, variables))
    _stay_away_from_others_folders(spaces[4])
    _make_the_group(Cluster([spaces[4]], work, variables))


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


def _take_over_a_log_of_root(cluster: Cluster) -> None:
    (host,) = cluster.hosts
    with step("a log that root once opened is moved out of the way"):
        host.run(_LAUNCHER, "stop")
        host.run("chown", "root:root", host.log)
        host.run("chmod", "600", host.log)
        host.run(_LAUNCHER, "start")
        found = host.run("stat", "-c", "%U", host.log, f"{host.log}.old").split()
        if found != ["etcd", "root"]:
            raise Wrong(f"the log and the old one belong to {found}")


def _refuse_a_link_for_a_log(cluster: Cluster) -> None:
    (host,) = cluster.hosts
    with step("a link in the place of the log: root makes no file, and shows none"):
        host.run(_LAUNCHER, "stop")
        host.run("sh", "-c", f"echo '{_SECRET}' >/srv/secret && chmod 600 /srv/secret")
        for target in (_PWNED, "/srv/secret"):
            _as_etcd(host, "ln", "-sf", target, host.log)
            broken = {
                "etcd_server_settings": {"max-txn-ops": "none"},
                "etcd_server_start_timeout": 4,
            }
            outcome = cluster.run("server", extra=broken)
            if exists(host, _PWNED):
                raise Wrong("root made a file where a link led")
            if _SECRET in outcome.output:
                raise Wrong("the play shows a file that only root may read")
            if host.run("cat", "/srv/secret").strip() != _SECRET:
                raise Wrong("something was written where a link led")
            check_refused(outcome, "cannot create|Permission denied")
            if _SECRET in _said(host, _LAUNCHER, "log", "20"):
                raise Wrong("the log of etcd-process is a file that only root may read")
        _as_etcd(host, "rm", host.log)


def _refuse_a_link_for_data(cluster: Cluster) -> None:
    (host,) = cluster.hosts
    with step("a link in the place of the data: what it leads to stays root's"):
        host.run("mkdir", "/srv/victim")
        host.run("chown", "etcd:etcd", "/var/lib/etcd")
        _as_etcd(host, "ln", "-s", "/srv/victim", f"/var/lib/etcd/{host.name}")
        outcome = cluster.run("server")
        if (found := host.run("stat", "-c", "%U %a", "/srv/victim").strip()) != "root 755":
            raise Wrong(f"what the link leads to is {found} now")
        check_refused(outcome, "belongs to root, in a folder that others than root can write to")
    with step("a link of root's own is followed"):
        host.run("rm", f"/var/lib/etcd/{host.name}")
        host.run("ln", "-s", "/srv/data", "/var/lib/mine")
        host.run("mkdir", "/srv/data")
        cluster.variables = {**cluster.variables, "etcd_server_data_dir": "/var/lib/mine/a/b"}
        cluster.must("server")
        check_members(cluster, 1)
        found = host.run("stat", "-c", "%U %a", "/srv/data/a", "/srv/data/a/b").splitlines()
        if found != ["root 755", "etcd 700"]:
            raise Wrong(f"the folders of the data are {found}")


def _stay_away_from_others_folders(host: Host) -> None:
    """Data is set aside and removed as etcd's user, where that user can change what is above it."""
    shutil.copy(_ROLE / "files" / "quorum-etcd-folder", host.root / "srv" / "folder")
    host.run("chown", "etcd:etcd", "/var/lib/etcd")
    host.run("mkdir", "-p", "/srv/victim/member")
    _as_etcd(host, "ln", "-s", "/srv/victim", "/var/lib/etcd/a")
    path = "/var/lib/etcd/a/member"
    with step("root neither renames nor removes what a link of somebody else leads to"):
        for words in (("rename", path, f"{path}.1"), ("remove", path)):
            said = _said(host, "/srv/folder", words[0], "etcd", "etcd", *words[1:])
            if not exists(host, "/srv/victim/member") or "Permission denied" not in said:
                raise Wrong(f"{words[0]} went where the link led: {said!r}")
        said = _said(host, "/srv/folder", "guard", "etcd", "etcd", "/var/lib/etcd/conf")
        if "others than root can change what is above /var/lib/etcd/conf" not in said:
            raise Wrong(f"root would keep its configuration in a folder of others: {said!r}")
    with step("what is etcd's own is renamed and removed, and nothing is moved into what is there"):
        _as_etcd(host, "mkdir", "/var/lib/etcd/node", "/var/lib/etcd/node.1")
        words = ("/srv/folder", "rename", "etcd", "etcd", "/var/lib/etcd/node")
        if "still there" not in _said(host, *words, "/var/lib/etcd/node.1"):
            raise Wrong("a folder was moved onto, or into, one that was there")
        host.run(*words, "/var/lib/etcd/node.2")
        host.run("/srv/folder", "remove", "etcd", "etcd", "/var/lib/etcd/node.1")
        if (found := host.run("ls", "/var/lib/etcd").split()) != ["a", "node.2"]:
            raise Wrong(f"there are {found}")


def _make_the_group(cluster: Cluster) -> None:
    (host,) = cluster.hosts
    with step("a user and a group of another name are made, and loopback is no reason to warn"):
        host.run("chown", "root:root", "/var/lib/etcd")
        cluster.variables = {
            **cluster.variables,
            "etcd_server_user": "keeper",
            "etcd_server_user_group": "keepers",
            "etcd_server_address": "127.0.0.1",
        }
        if said := _warning(cluster.must("server").output):
            raise Wrong(f"a node that nobody else reaches is said to be open: {said}")
        process = host.run("cat", "/etc/etcd/etcd.pid").split()[0]
        found = host.run("ps", "-o", "user=,group=", "-p", process).split()
        found += host.run("stat", "-c", "%U %G %a", f"/var/lib/etcd/{host.name}").split()
        if found != ["keeper", "keepers", "keeper", "keepers", "700"]:
            raise Wrong(f"the process and its folder are {found}")


def _warning(output: str) -> str:
    """What a play says of nodes without TLS."""
    return "".join(line for line in output.splitlines() if "without TLS: everybody" in line)


def _as_etcd(host: Host, *command: str) -> None:
    host.run("setpriv", "--reuid=etcd", "--regid=etcd", "--init-groups", "--", *command)


def _said(host: Host, *command: str) -> str:
    """What a command prints that may fail."""
    try:
        return host.run(*command)
    except subprocess.CalledProcessError as exc:
        return f"{exc.stdout}{exc.stderr}"
