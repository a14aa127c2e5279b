# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network that is slow, but not silent: what comes steadily is waited for, and nothing is sent twice."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _keys_client
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Binary, Cluster

#: A server begins to count when the head of a request has come, and gives the write up ("request timed
#: out", seen on 3.5.1) after 5 s and two election timeouts, however large its body is.
PATIENT = ("--heartbeat-interval=100", "--election-timeout=5000")

#: Seconds of silence that the client bears, and what a busy machine may make of a pause.
SILENCE, PAUSE = 2.0, 0.1


class Trickle:
    """Passes bytes on between clients and a server, a few at a time in each direction.

    Attributes:
        sent: what came from clients.
        connections: how many there were.
    """

    def __init__(self, url: str, up: int, down: int) -> None:
        host, unused, port = url.partition("://")[2].partition(":")
        self.sent = bytearray()
        self.connections = 0
        self._server = (host, int(port))
        self._up, self._down = up, down
        self._listener = socket.socket()
        # Small, so that this system does not take over all at once what is passed on slowly.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 15)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Trickle:
        return self

    def __exit__(self, *unused: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(self._server)
                self.connections += 1
                for arguments in ((near, far, self._up, self.sent), (far, near, self._down, None)):
                    threading.Thread(target=_pass_on, args=arguments, daemon=True).start()


def _pass_on(
    source: socket.socket, target: socket.socket, most: int, seen: t.Optional[bytearray]
) -> None:
    left = most
    with contextlib.suppress(OSError):
        while data := source.recv(left):
            if seen is not None:
                seen += data
            target.sendall(data)
            left -= len(data)
            if not left:
                time.sleep(PAUSE)
                left = most
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _slow_client(url: str) -> Client:
    return Client(url, timeout=SILENCE, total_timeout=120.0)


@pytest.fixture(scope="module")
def patient(binary: Binary) -> t.Iterator[Cluster]:
    """One node that waits long for the body of a write."""
    with Cluster(binary, extra_args=PATIENT) as cluster:
        yield cluster


@pytest.mark.parametrize("size", [300_000, 6_000_000], ids=["small", "large"])
def test_a_large_value_over_a_slow_link(patient: Cluster, key: str, size: int) -> None:
    """It takes several times as long as the client bears to be without a sign of life."""
    value = "x" * size
    with Trickle(patient.endpoints[0], up=size // 60, down=1 << 16) as link:
        began = time.monotonic()
        result = _slow_client(link.url).write(key, value)
        assert time.monotonic() - began > 2 * SILENCE
        assert result.attempts == 1
        assert link.sent.count(b"PUT /") == link.connections == 1
    assert Client(patient.endpoints).read(key).node.value == value


def test_many_reads_over_a_slow_link(
    single: Cluster, client: Client, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side, each takes longer than the silence after which an endpoint counts as stalled."""
    monkeypatch.setattr(_keys_client, "_SILENCE", SILENCE)
    values = ["%02d" % number + "x" * 60_000 for number in range(17)]
    for number, value in enumerate(values):
        client.write("%s/%d" % (key, number), value)
    with Trickle(single.endpoints[0], up=1 << 16, down=2_000) as link:
        slow = _slow_client(link.url)
        composer = slow.composer()
        reads = [composer.read("%s/%d" % (key, number)) for number in range(17)]
        began = time.monotonic()
        found = [one.node.value for one in slow.read_all(reads)]
        assert time.monotonic() - began > 2 * SILENCE
        assert link.sent.count(b"GET /") == 17, "each was asked for once"
    assert found == values
