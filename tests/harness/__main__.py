# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line: `python tests/harness COMMAND`, or `python -m harness COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import typing as t
from dataclasses import asdict
from types import FrameType

if not __package__:
    # Run by the path of the folder, which Python then puts on sys.path in place of its parent.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from harness import binaries, detached, ports, services
from harness.errors import HarnessError
from harness.faultproxy import MODES


def main(arguments: t.Optional[t.List[str]] = None) -> int:
    """Run one command."""
    args = _parser().parse_args(arguments)
    try:
        args.run(args)
    except HarnessError as exc:
        print(f"harness: {exc}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="harness", description="etcd servers to test against")
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("servers", help="print the servers that were found")
    command.set_defaults(run=_servers)

    command = commands.add_parser("start", help="start a cluster that outlives this command")
    command.add_argument("--state", required=True, metavar="FILE")
    command.add_argument("--binary", default="auto", metavar="PATH|auto")
    command.add_argument("--size", type=int, default=1)
    command.add_argument("--no-v2", dest="v2", action="store_false")
    command.add_argument("--tls", choices=["server", "mutual"])
    command.add_argument("--dns", metavar="DOMAIN", help="publish SRV records of all members")
    command.add_argument("--dns-name", metavar="NAME", help="with this suffix of the service too")
    command.add_argument("--dns-listen", type=_address, default=(ports.HOST, 0), metavar="IP:PORT")
    command.add_argument("--proxy", action="store_true", help="a fault proxy before the first")
    command.set_defaults(run=_start)

    command = commands.add_parser("stop", help="stop it and remove its files")
    command.add_argument("--state", required=True, metavar="FILE")
    command.set_defaults(run=_stop)

    command = commands.add_parser("member", help="kill, pause, restart... one member")
    command.add_argument("--state", required=True, metavar="FILE")
    command.add_argument("name")
    command.add_argument("action", choices=detached.MEMBER_ACTIONS)
    command.add_argument("--wait", type=float, metavar="SECONDS", help="until it is healthy")
    command.set_defaults(run=_member)

    command = commands.add_parser("new-peer-url", help="print a free one, to add a member with")
    command.set_defaults(run=lambda args: print(ports.new_peer_url()))

    command = commands.add_parser("add-member", help="start the server of an added member")
    command.add_argument("--state", required=True, metavar="FILE")
    command.add_argument("--name", required=True)
    command.add_argument("--peer-url", required=True, metavar="URL")
    command.add_argument("--initial-cluster", required=True, metavar="NAME=URL,...")
    command.add_argument("--wait", type=float, metavar="SECONDS", help="until it is healthy")
    command.set_defaults(run=_add_member)

    command = commands.add_parser("proxy-mode", help="what the fault proxy does from now on")
    command.add_argument("--state", required=True, metavar="FILE")
    command.add_argument("mode", choices=sorted(MODES))
    command.add_argument("--match", metavar="METHOD")
    command.add_argument("--times", type=int)
    command.add_argument("--status", type=int)
    command.add_argument("--body")
    command.add_argument("--delay", type=float, default=0.0)
    command.add_argument("--location")
    command.set_defaults(run=_proxy_mode)

    command = commands.add_parser("serve-dns", help="(used by start)")
    command.add_argument("config")
    command.set_defaults(run=lambda args: services.serve_dns(args.config))

    command = commands.add_parser("serve-proxy", help="(used by start)")
    command.add_argument("config")
    command.set_defaults(run=lambda args: services.serve_proxy(args.config))
    return parser


def _servers(args: argparse.Namespace) -> None:
    _print([asdict(binary) for binary in binaries.find()])


def _start(args: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, _leave)
    binary = binaries.pick(None if args.binary == "auto" else args.binary)
    state = detached.start(
        args.state,
        binary,
        size=args.size,
        v2=args.v2,
        tls=args.tls,
        dns_domain=args.dns,
        dns_name=args.dns_name,
        dns_listen=args.dns_listen,
        proxy=args.proxy,
    )
    _print(state)


def _stop(args: argparse.Namespace) -> None:
    detached.stop(args.state)


def _member(args: argparse.Namespace) -> None:
    _print(detached.control_member(args.state, args.name, args.action, args.wait))


def _add_member(args: argparse.Namespace) -> None:
    _print(
        detached.add_member(args.state, args.name, args.peer_url, args.initial_cluster, args.wait)
    )


def _proxy_mode(args: argparse.Namespace) -> None:
    options = ("mode", "match", "times", "status", "body", "delay", "location")
    detached.control_proxy(args.state, {option: getattr(args, option) for option in options})


def _address(text: str) -> t.Tuple[str, int]:
    host, port = text.split(":")
    return host, int(port)


def _leave(number: int, frame: t.Optional[FrameType]) -> None:
    """Turn a signal into an orderly end, so that a half-started cluster is taken down."""
    raise SystemExit(128 + number)


def _print(content: t.Any) -> None:
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    sys.exit(main())
