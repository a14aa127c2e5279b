# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters that outlive the command that started them, described by a state file."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import typing as t
from dataclasses import asdict
from urllib.parse import urlsplit

from . import services
from .binaries import Binary
from .cluster import DIRECTORY_PREFIX, Cluster, Member
from .errors import HarnessError
from .processes import Process
from .tls import Tls

State = t.Dict[str, t.Any]

MEMBER_ACTIONS = ("kill", "terminate", "pause", "resume", "start")


def start(
    path: str,
    binary: Binary,
    *,
    size: int,
    v2: bool,
    tls: t.Optional[str],
    dns_domain: t.Optional[str],
    dns_name: t.Optional[str],
    dns_listen: t.Tuple[str, int],
    proxy: bool,
) -> State:
    """Start everything and write the state file; if one part fails, none is left.

    `tls` is `server` or `mutual`. `dns_name` is a suffix of the service; with it, there are records
    with and without. A `dns_listen` port of 0 is any.
    """
    if os.path.exists(path):
        raise HarnessError(f"{path} exists: stop that cluster first")
    with contextlib.ExitStack() as undo:
        directory = tempfile.mkdtemp(prefix=DIRECTORY_PREFIX)
        undo.callback(shutil.rmtree, directory)
        security = _make_tls(directory, tls)
        cluster = Cluster(binary, size, v2, security, detached=True, parent_directory=directory)
        undo.callback(cluster.stop)
        cluster.start()
        state: State = {
            "binary": binary.path,
            "version": binary.version,
            "v2": v2,
            "directory": directory,
            "endpoints": cluster.endpoints,
            "members": [_member_to_state(member) for member in cluster.members],
            "tls": tls,
            "certs": asdict(security.certs) if security else None,
            "dns": None,
            "proxy": None,
        }
        if dns_domain is not None:
            state["dns"] = _start_dns(state, dns_domain, dns_name, dns_listen)
            undo.callback(_kill, state["dns"])
        if proxy:
            state["proxy"] = services.launch(
                "proxy",
                directory,
                {
                    "upstream": cluster.endpoints[0],
                    "tls": services.tls_to_state(security),
                    "log": os.path.join(directory, "requests.jsonl"),
                },
            )
            undo.callback(_kill, state["proxy"])
        services.write_json(path, state)
        undo.pop_all()
    return state


def stop(path: str) -> None:
    """Kill what the state file names, remove the files, then the state file."""
    if not os.path.exists(path):
        return
    state = services.read_json(path)
    for recorded in _recorded(state):
        _kill(recorded)
    directory = state["directory"]
    if os.path.basename(directory).startswith(DIRECTORY_PREFIX) and os.path.isdir(directory):
        shutil.rmtree(directory)
    os.remove(path)


def control_member(path: str, name: str, action: str, wait: t.Optional[float]) -> State:
    """Do `action` to a member, wait until it is healthy if asked to; the new state."""
    state: State = services.read_json(path)
    for recorded in state["members"]:
        if recorded["name"] == name:
            break
    else:
        raise HarnessError(f"no member {name!r}")
    member = _member_from_state(recorded, state)
    getattr(member, action)()
    recorded.update(_member_to_state(member))
    services.write_json(path, state)
    if wait is not None:
        member.wait_healthy(wait)
    return state


def add_member(
    path: str, name: str, peer_url: str, initial_cluster: str, wait: t.Optional[float]
) -> State:
    """Start the server of a member that was added by the API; the new state.

    It takes the place of one of that name that was removed and has ended.
    """
    state: State = services.read_json(path)
    others = []
    for recorded in state["members"]:
        process = _process(recorded)
        if recorded["name"] != name:
            others.append(recorded)
        elif process is not None and process.running():
            raise HarnessError(f"{name} still runs")
    cluster = Cluster.at(
        os.path.dirname(state["members"][0]["data_dir"]),
        Binary(state["binary"], state["version"], "given"),
        v2=state["v2"],
        tls=_tls_from_state(state),
    )
    member = cluster.add_member_process(name, peer_url, initial_cluster, wait=False)
    state["members"] = [*others, _member_to_state(member)]
    state["endpoints"] = [recorded["endpoint"] for recorded in state["members"]]
    services.write_json(path, state)
    if wait is not None:
        member.wait_healthy(wait)
    return state


def control_proxy(path: str, order: t.Dict[str, t.Any]) -> None:
    """Have the proxy call `set_mode`."""
    state = services.read_json(path)
    if state["proxy"] is None:
        raise HarnessError("this cluster was started without --proxy")
    services.control_proxy(state["proxy"]["control"], order)


def _make_tls(directory: str, kind: t.Optional[str]) -> t.Optional[Tls]:
    if kind is None:
        return None
    # Not at the top: only who asks for TLS needs trustme.
    from . import certs  # pylint: disable=import-outside-toplevel

    return Tls(certs.make(os.path.join(directory, "certs")), client_auth=kind == "mutual")


def _start_dns(
    state: State, domain: str, name: t.Optional[str], listen: t.Tuple[str, int]
) -> State:
    service = "_etcd-client-ssl" if state["tls"] else "_etcd-client"
    entries = [
        {"priority": 0, "weight": 10, "port": urlsplit(url).port, "target": "localhost."}
        for url in state["endpoints"]
    ]
    records = {f"{service}._tcp.{domain}": entries}
    if name is not None:
        records[f"{service}-{name}._tcp.{domain}"] = entries
    config = {"records": records, "host": listen[0], "port": listen[1]}
    ready = services.launch("dns", state["directory"], config)
    return dict(ready, domain=domain)


def _member_to_state(member: Member) -> State:
    process = member.process
    return {
        "name": member.name,
        "endpoint": member.endpoint,
        "peer_url": member.peer_url,
        "pid": process.pid if process else None,
        "started": process.started if process else None,
        "data_dir": member.data_dir,
        "command": member.command,
        "log": member.log_path,
    }


def _member_from_state(recorded: State, state: State) -> Member:
    return Member(
        name=recorded["name"],
        endpoint=recorded["endpoint"],
        peer_url=recorded["peer_url"],
        data_dir=recorded["data_dir"],
        log_path=recorded["log"],
        command=recorded["command"],
        tls=_tls_from_state(state),
        detached=True,
        process=_process(recorded),
    )


def _tls_from_state(state: State) -> t.Optional[Tls]:
    if state["certs"] is None:
        return None
    return services.tls_from_state(
        {"certs": state["certs"], "client_auth": state["tls"] == "mutual", "expired": False}
    )


def _recorded(state: State) -> t.Iterator[State]:
    """Everything in a state that has a pid."""
    yield from state["members"]
    for service in ("dns", "proxy"):
        if state[service] is not None:
            yield state[service]


def _process(recorded: State) -> t.Optional[Process]:
    if recorded["pid"] is None:
        return None
    return Process(recorded["pid"], recorded["started"])


def _kill(recorded: State) -> None:
    process = _process(recorded)
    if process is not None:
        process.kill()
