# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A DNS server on a loopback port that answers SRV (and A) queries over UDP and TCP."""

from __future__ import annotations

import socketserver
import struct
import threading
import typing as t
from dataclasses import dataclass
from types import TracebackType

import dnslib

from . import ports
from .errors import HarnessError

MODES = ("answer", "servfail", "silent", "truncate")

_TRIES = 20
_TTL = 0


@dataclass(frozen=True)
class Srv:
    """The data of one SRV record."""

    priority: int
    weight: int
    port: int
    target: str


class DnsServer:
    """The server; a context manager that starts and stops it.

    `records` maps names to SRV records (an empty list: the name exists without any), `addresses`
    maps names to an IPv4 address. Every other name does not exist. `mode` is one of

    answer    as the records say
    servfail  SERVFAIL to everything
    silent    no answer at all
    truncate  empty answers with the TC bit over UDP, complete ones over TCP
    """

    def __init__(
        self,
        records: t.Mapping[str, t.Sequence[Srv]],
        addresses: t.Optional[t.Mapping[str, str]] = None,
        mode: str = "answer",
        *,
        host: str = ports.HOST,
        port: int = 0,
    ) -> None:
        self.host = host
        self.port = port
        self.queries: t.List[str] = []
        """The names asked for, in order, in lower case and without the last dot."""
        self.transports: t.List[str] = []
        """`udp` or `tcp` for each of `queries`."""
        self._lock = threading.Lock()
        self._records: t.Dict[str, t.List[Srv]] = {}
        self._addresses: t.Dict[str, str] = {}
        self._servers: t.List[socketserver.BaseServer] = []
        self.set_records(records, addresses)
        self.set_mode(mode)

    def __enter__(self) -> DnsServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: t.Optional[t.Type[BaseException]],
        error: t.Optional[BaseException],
        trace: t.Optional[TracebackType],
    ) -> None:
        self.stop()

    def set_records(
        self,
        records: t.Mapping[str, t.Sequence[Srv]],
        addresses: t.Optional[t.Mapping[str, str]] = None,
    ) -> None:
        """Replace all records."""
        with self._lock:
            self._records = {_canonical(name): list(found) for name, found in records.items()}
            self._addresses = {
                _canonical(name): address for name, address in (addresses or {}).items()
            }

    def set_mode(self, mode: str) -> None:
        """How queries are answered from now on."""
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}")
        self._mode = mode

    def start(self) -> None:
        """Take the port, or one that is free for both UDP and TCP if none was named."""
        self._servers = self._bind()
        for server in self._servers:
            threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
            ).start()

    def stop(self) -> None:
        """Stop answering and close the port."""
        while self._servers:
            server = self._servers.pop()
            server.shutdown()
            server.server_close()

    def answer(self, data: bytes, transport: str) -> t.Optional[bytes]:
        """The answer to one message."""
        query = dnslib.DNSRecord.parse(data)
        name = _canonical(str(query.q.qname))
        with self._lock:
            self.queries.append(name)
            self.transports.append(transport)
            if self._mode == "silent":
                return None
            reply = query.reply()
            if self._mode == "servfail":
                reply.header.rcode = dnslib.RCODE.SERVFAIL
            elif self._mode == "truncate" and transport == "udp":
                reply.header.tc = 1
            else:
                self._add_records(reply, name, query.q.qtype)
        packed: bytes = reply.pack()
        return packed

    def _add_records(self, reply: dnslib.DNSRecord, name: str, kind: int) -> None:
        if name not in self._records and name not in self._addresses:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        elif kind == dnslib.QTYPE.SRV:
            for srv in self._records.get(name, []):
                data = dnslib.SRV(srv.priority, srv.weight, srv.port, srv.target)
                reply.add_answer(dnslib.RR(name, dnslib.QTYPE.SRV, rdata=data, ttl=_TTL))
        elif kind == dnslib.QTYPE.A and name in self._addresses:
            data = dnslib.A(self._addresses[name])
            reply.add_answer(dnslib.RR(name, dnslib.QTYPE.A, rdata=data, ttl=_TTL))

    def _bind(self) -> t.List[socketserver.BaseServer]:
        named = self.port
        for dummy in range(_TRIES):
            self.port = named or ports.free_port()
            try:
                tcp = _TcpServer((self.host, self.port), _TcpHandler)
            except OSError:
                continue
            try:
                udp = _UdpServer((self.host, self.port), _UdpHandler)
            except OSError:
                tcp.server_close()
                continue
            tcp.owner = udp.owner = self
            return [udp, tcp]
        raise HarnessError(
            f"port {named} of {self.host} is not free for UDP and TCP"
            if named
            else f"no port that is free for UDP and TCP after {_TRIES} tries"
        )


class _UdpServer(socketserver.ThreadingUDPServer):
    daemon_threads = True
    owner: DnsServer


class _TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    owner: DnsServer


class _UdpHandler(socketserver.BaseRequestHandler):
    server: _UdpServer

    def handle(self) -> None:
        data, sock = self.request
        reply = self.server.owner.answer(data, "udp")
        if reply is not None:
            sock.sendto(reply, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    server: _TcpServer

    def handle(self) -> None:
        size = self.rfile.read(2)
        while len(size) == 2:
            reply = self.server.owner.answer(self.rfile.read(struct.unpack("!H", size)[0]), "tcp")
            if reply is not None:
                self.wfile.write(struct.pack("!H", len(reply)) + reply)
            size = self.rfile.read(2)


def _canonical(name: str) -> str:
    return name.rstrip(".").lower()
