# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The DNS server and the fault proxy as processes of their own, for the command line.

Such a process reads its configuration from a file, writes another one when it is ready, and runs
until it is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import sys
import threading
import time
import typing as t
from dataclasses import asdict

from . import ports
from .errors import HarnessError
from .faultproxy import FaultProxy
from .processes import Process
from .tls import Certs, Tls

_READY_WITHIN = 20.0
_CONTROL_TIMEOUT = 10.0
_POLL = 0.02


def launch(kind: str, directory: str, config: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    """Start `serve-<kind>` detached; what it says when ready, with its pid and start time."""
    config_path = os.path.join(directory, f"{kind}.json")
    ready_path = os.path.join(directory, f"{kind}.ready.json")
    log_path = os.path.join(directory, f"{kind}.log")
    write_json(config_path, dict(config, ready=ready_path))
    command = [sys.executable, os.path.dirname(os.path.abspath(__file__)), f"serve-{kind}"]
    process = Process.spawn([*command, config_path], log_path, detached=True)
    deadline = time.monotonic() + _READY_WITHIN
    while not os.path.exists(ready_path):
        if not process.running() or time.monotonic() >= deadline:
            process.kill()
            with open(log_path, encoding="utf-8", errors="replace") as log:
                raise HarnessError(f"serve-{kind} did not start:\n{log.read()}")
        time.sleep(_POLL)
    return dict(read_json(ready_path), pid=process.pid, started=process.started)


def serve_dns(config_path: str) -> None:
    """Run the DNS server."""
    # Not at the top: only who asks for DNS needs dnslib.
    from .dnsserver import DnsServer, Srv  # pylint: disable=import-outside-toplevel

    config = read_json(config_path)
    records = {
        name: [Srv(**entry) for entry in entries] for name, entries in config["records"].items()
    }
    with DnsServer(records, host=config["host"], port=config["port"]) as server:
        write_json(config["ready"], {"host": server.host, "port": server.port})
        threading.Event().wait()


def serve_proxy(config_path: str) -> None:
    """Run the fault proxy and its control port."""
    config = read_json(config_path)
    proxy = FaultProxy(
        config["upstream"], tls=tls_from_state(config["tls"]), log_path=config["log"]
    )
    with proxy, _Control((ports.HOST, ports.free_port()), _ControlHandler) as control:
        control.proxy = proxy
        address = f"{ports.HOST}:{control.server_address[1]}"
        write_json(config["ready"], {"url": proxy.url, "control": address, "log": config["log"]})
        control.serve_forever()


def control_proxy(address: str, order: t.Dict[str, t.Any]) -> None:
    """Have a detached proxy call `set_mode`."""
    host, port = address.split(":")
    with contextlib.ExitStack() as stack:
        sock = socket.create_connection((host, int(port)), timeout=_CONTROL_TIMEOUT)
        file = stack.enter_context(stack.enter_context(sock).makefile("rw", encoding="utf-8"))
        file.write(json.dumps(order) + "\n")
        file.flush()
        error = json.loads(file.readline())["error"]
    if error is not None:
        raise HarnessError(error)


def tls_to_state(tls: t.Optional[Tls]) -> t.Optional[t.Dict[str, t.Any]]:
    """A `Tls` as JSON."""
    return None if tls is None else asdict(tls)


def tls_from_state(state: t.Optional[t.Dict[str, t.Any]]) -> t.Optional[Tls]:
    """The reverse."""
    if state is None:
        return None
    return Tls(Certs(**state["certs"]), client_auth=state["client_auth"], expired=state["expired"])


def read_json(path: str) -> t.Any:
    """The content of a JSON file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write_json(path: str, content: t.Any) -> None:
    """Write a JSON file all at once."""
    draft = f"{path}.new"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    os.replace(draft, path)


class _Control(socketserver.TCPServer):
    allow_reuse_address = True
    proxy: FaultProxy


class _ControlHandler(socketserver.StreamRequestHandler):
    """One JSON order a line, one JSON answer."""

    server: _Control

    def handle(self) -> None:
        order = json.loads(self.rfile.readline())
        error = None
        if order.get("body") is not None:
            order["body"] = order["body"].encode("utf-8")
        try:
            self.server.proxy.set_mode(**order)
        except ValueError as exc:
            error = str(exc)
        self.wfile.write(json.dumps({"error": error}).encode("utf-8") + b"\n")
