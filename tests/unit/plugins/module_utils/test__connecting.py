# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names with several addresses, and resolvers that take their time, over real sockets.

The bounds on time are generous: they tell "did not wait for it" from "waited for it", no more.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _adapter, _connecting, _lines
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    AttemptFailed,
    Endpoint,
    Failure,
    Tls,
)

NAME = "etcd.example"


def listener(address="127.0.0.1", port=0):
    sock = socket.socket()
    sock.bind((address, port))
    sock.listen(8)
    return sock


@contextlib.contextmanager
def black_hole(address, port):
    """An address whose connections are never completed."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.bind((address, port))
        sock.listen(0)
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.2)
            try:
                filler.connect((address, port))
            except socket.timeout:
                break
        yield


class Resolver:
    """Takes the place of getaddrinfo for one name, which it resolves when it is told to."""

    def __init__(self, monkeypatch, addresses):
        self.addresses = addresses
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = 0
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host, port, *rest):
        flags = rest[3] if len(rest) > 3 else 0
        if host != NAME or flags & socket.AI_NUMERICHOST:
            return self._real(host, port, *rest)
        self.asked += 1
        assert self.may_answer.wait(60)
        return [info for one in self.addresses for info in self._real(one, port, *rest)]


def plain(port):
    return _lines.PlainLine(Endpoint("http", NAME, port), 4)


def by_library(port):
    """As for https, or with a proxy that does not apply to this endpoint."""
    adapter = _adapter.Adapter(Tls(), use_proxy=False, connections=4)
    return adapter.open(Endpoint("http", NAME, port))


LINES = pytest.mark.parametrize("line_of", [plain, by_library])


@LINES
def test_addresses_without_an_answer_take_the_time_of_one(monkeypatch, line_of):
    """Eight of them would take eight times as long, one after the other."""
    addresses = ["127.0.0.%d" % number for number in range(2, 10)]
    Resolver(monkeypatch, addresses)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(listener()).getsockname()[1]
        for address in addresses:
            stack.enter_context(black_hole(address, port))
        began = time.monotonic()
        with pytest.raises(AttemptFailed) as caught:
            line_of(port).make(1.0)
        assert time.monotonic() - began < 4.0
    assert (caught.value.failure, caught.value.reason) == (
        Failure.NOT_SENT,
        "no connection in time",
    )


@LINES
def test_an_address_without_an_answer_does_not_hide_the_next(monkeypatch, line_of):
    Resolver(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    with listener() as server:
        port = server.getsockname()[1]
        with black_hole("127.0.0.2", port):
            began = time.monotonic()
            connection = line_of(port).make(20.0)
            assert time.monotonic() - began < 10.0
        assert connection.sock.getpeername() == ("127.0.0.1", port)
        connection.close()


@LINES
def test_an_address_that_refuses_makes_way_at_once(monkeypatch, line_of):
    monkeypatch.setattr(_connecting, "STAGGER", 60.0)
    Resolver(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    with listener() as server:
        connection = line_of(server.getsockname()[1]).make(20.0)
        assert connection.sock.getpeername()[0] == "127.0.0.1"
        connection.close()


@LINES
def test_all_addresses_refuse(monkeypatch, line_of):
    Resolver(monkeypatch, ["127.0.0.2", "127.0.0.3"])
    with listener() as server:
        with pytest.raises(AttemptFailed) as caught:
            line_of(server.getsockname()[1]).make(20.0)
    assert (caught.value.failure, caught.value.reason) == (Failure.NOT_SENT, "connection refused")


@LINES
def test_a_slow_resolver_is_not_waited_for_and_asked_once(monkeypatch, line_of):
    resolver = Resolver(monkeypatch, ["127.0.0.1"])
    resolver.may_answer.clear()
    with listener() as server:
        line = line_of(server.getsockname()[1])
        for unused in range(2):
            with pytest.raises(AttemptFailed) as caught:
                line.make(0.1)
            assert caught.value.failure is Failure.NOT_SENT
            assert caught.value.reason == "the name was not resolved in time"
        resolver.may_answer.set()
        line.make(20.0).close()
    assert resolver.asked == 1


def test_an_address_needs_no_thread(monkeypatch):
    monkeypatch.setattr(_connecting.threading, "Thread", None)
    with listener() as server:
        endpoint = Endpoint("http", *server.getsockname())
        _lines.PlainLine(endpoint, 1).make(20.0).close()


def test_a_tls_handshake_that_does_not_end_is_no_connection_in_time():
    """Each of its steps has a timeout of its own, which drops that come in time would renew."""
    ended = threading.Event()

    def drip(server):
        sock = server.accept()[0]
        with sock, contextlib.suppress(OSError):
            # The head of a record of 16 KB, which then comes byte by byte.
            sock.sendall(b"\x16\x03\x03\x40\x00")
            while not ended.wait(0.1):
                sock.sendall(b"\x00")

    with listener() as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        adapter = _adapter.Adapter(Tls(verify=False), use_proxy=False, connections=4)
        line = adapter.open(Endpoint("https", *server.getsockname()))
        began = time.monotonic()
        with pytest.raises(AttemptFailed) as caught:
            line.make(0.5)
        ended.set()
        assert time.monotonic() - began < 10.0
    assert (caught.value.failure, caught.value.reason) == (
        Failure.NOT_SENT,
        "no connection in time",
    )
