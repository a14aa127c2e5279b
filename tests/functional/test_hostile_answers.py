# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is none of etcd's: whatever it answers, there is an error in words, and in time.

These need no etcd, so they run once and not with each server.
"""

from __future__ import annotations

import gzip
import os
import socket
import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Cluster
from hostile import Answering, Hostile, says
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: Seconds for one operation, and what a busy machine may add to them.
BUDGET, GRACE = 0.6, 5.0

OK = b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\n"
NODE = b'{"action":"get","node":{"key":"/k","value":"v","modifiedIndex":5,"createdIndex":5}}'
BOMB = gzip.compress(b" " * 50_000_000)


def _sized(body: bytes, *headers: bytes, head: bytes = OK) -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers)
    return head + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _drips(start: bytes, drop: bytes, pause: float, drops: int = 10**6) -> Answering:
    """The start, then drop after drop; the connection stays open when there are no more."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(start)
        for unused in range(drops):
            time.sleep(pause)
            sock.sendall(drop)
        sock.recv(1)

    return answer


def _floods(start: bytes) -> Answering:
    def answer(sock: socket.socket) -> None:
        sock.sendall(start)
        while True:
            sock.sendall(b"x" * 65536)

    return answer


def _redirect(status: int, where: str) -> bytes:
    head = b"HTTP/1.1 %d Go\r\nLocation: %s\r\n" % (status, where.encode("ascii"))
    return _sized(b'{"errorCode":100,"message":"x"}', b"Connection: close", head=head)


#: What is answered, and what the error says of it.
REFUSED: t.Dict[str, t.Tuple[Answering, str]] = {
    "nothing": (says(), "closed without an answer"),
    "a head that breaks off": (says(OK), "broke off"),
    "a body that breaks off": (says(_sized(NODE)[:-9]), "broke off"),
    "less than it says": (says(OK + b"Content-Length: 999\r\n\r\n" + NODE), "broke off"),
    "two lengths": (says(_sized(NODE, b"Content-Length: 5")), "does not tell its length"),
    "a length and chunks": (
        says(_sized(NODE, b"Transfer-Encoding: chunked")),
        "its length in two ways",
    ),
    "line feeds alone": (
        says(b"HTTP/1.1 200 OK\nContent-Length: %d\n\n%s" % (len(NODE), NODE)),
        "without a carriage return",
    ),
    "a line feed in a header": (says(_sized(NODE, b"X-A: b\nX-C: d")), "are no headers"),
    "a folded header": (says(_sized(NODE, b"X-A: b\r\n c")), "are no headers"),
    "a length of letters": (says(OK + b"Content-Length: many\r\n\r\n"), "does not tell its"),
    "a length too large": (says(OK + b"Content-Length: 134217729\r\n\r\n"), "larger than"),
    "a bad chunk": (says(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "chunk"),
    "a chunk too large": (
        says(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n"),
        "larger",
    ),
    "chunks that break off": (
        says(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        "broke off",
    ),
    "an unknown coding": (says(OK + b"Transfer-Encoding: gzip\r\n\r\n"), "unknown transfer"),
    "a gzip bomb": (says(_sized(BOMB, b"Content-Encoding: gzip")), "not what etcd speaks"),
    "another protocol": (says(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n"), "another protocol"),
    "no HTTP": (says(b"SSH-2.0-x\r\n\r\n"), "not HTTP"),
    "TLS": (says(b"\x15\x03\x03\x00\x02\x02\x46\r\n\r\n"), "not HTTP"),
    "a page": (says(_sized(b"<html>Please log in</html>")), "not what etcd speaks"),
    "a list": (says(_sized(b"[]")), "not what etcd speaks"),
    "no node": (says(_sized(b'{"action":"get"}')), "no key"),
    "wrong types": (says(_sized(b'{"action":"get","node":{"value":5}}')), "not what etcd"),
    "deep JSON": (says(_sized(b'{"action":' * 100_000)), "not what etcd speaks"),
    "half a pair": (
        says(_sized(b'{"action":"get","node":{"key":"/k","value":"\\ud800"}}')),
        "not what etcd speaks",
    ),
    "a head without end": (_floods(OK), "not HTTP"),
    "heads without end": (_drips(b"", b"HTTP/1.1 103 Hint\r\n\r\n", 0.0), "without end"),
    "trailers without end": (
        _drips(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n", 0.0),
        "not HTTP",
    ),
    "silence": (_drips(b"", b"", 30.0, 1), "in time"),
    "a head in drops": (_drips(OK, b"X: y\r\n", 0.05), "in time"),
    "a body in drops": (_drips(OK + b"Content-Length: 9999\r\n\r\n", b" ", 0.05), "in time"),
    "chunks in drops": (
        _drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.05),
        "in time",
    ),
    "drops, then silence": (_drips(OK, b"X: y\r\n", 0.05, 10), "in time"),
}


def _client(url: str) -> Client:
    return Client(url, connect_timeout=BUDGET, timeout=BUDGET, total_timeout=BUDGET)


def _fails(url: str, reason: str) -> None:
    for operation in (
        lambda client: client.read("/k"),
        lambda client: client.write("/k", "v"),
    ):
        began = time.monotonic()
        with pytest.raises(errors.EtcdException) as caught:
            operation(_client(url))
        assert time.monotonic() - began < BUDGET + GRACE
        assert reason in str(caught.value)
        assert url in str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """A read fails, a write is sent once and its outcome is unknown; each says why, in time."""
    answer, reason = REFUSED[name]
    with Hostile(answer) as server:
        if name == "no node":
            # Of a write, only that it was done.
            with pytest.raises(errors.EtcdInvalidResponse, match=reason):
                _client(server.url).read("/k")
            return
        _fails(server.url, reason)
        assert len([one for one in server.heads if one.startswith(b"PUT /v2/keys/k ")]) == 1


@pytest.mark.parametrize(
    "answer",
    [
        _sized(NODE),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\n" + _sized(NODE),
        _sized(NODE, b"X-Etcd-Index: 8", b"Content-Type: text/html"),
        OK + b"\r\n" + NODE,
    ],
    ids=["plain", "hints", "duplicate headers", "no length"],
)
def test_what_is_taken(answer: bytes) -> None:
    """What HTTP allows, though etcd does not do it, is an answer."""
    with Hostile(says(answer)) as server:
        result = _client(server.url).read("/k")
        assert (result.node.value, result.x_etcd_index) == ("v", 7)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """Neither the request nor the password goes where an answer says."""
    with Hostile(says(_sized(NODE))) as other:
        answer = _redirect(status, other.url + "/v2/keys/other")
        with Hostile(says(answer)) as server:
            client = Client(server.url, username="root", password="hush-password")
            for operation in (
                lambda: client.read("/k"),
                lambda: client.write("/k", "v"),
                client.members,
                client.stats_leader,
            ):
                with pytest.raises(errors.EtcdException, match="a redirect to") as caught:
                    operation()
                assert "hush" not in str(caught.value)
        assert b"Authorization: Basic" in server.heads[0]
        assert other.heads == []


def test_a_race_with_servers_that_drip_is_held_to_the_budget() -> None:
    """A read that is sent to several of them is given up in time, too."""
    with Hostile(_drips(OK, b"X: y\r\n", 0.05)) as one, Hostile(_drips(b"", b"H", 0.05)) as other:
        began = time.monotonic()
        client = Client([one.url, other.url], timeout=BUDGET, total_timeout=BUDGET)
        with pytest.raises(errors.EtcdTimeout):
            client.read("/k")
        assert time.monotonic() - began < BUDGET + GRACE


some = settings(
    max_examples=int(os.environ.get("QUORUM_ETCD_EXAMPLES", "40")),
    derandomize="QUORUM_ETCD_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

#: Names that mean something to HTTP, URLs, forms or etcd, or might.
names = st.text(
    st.one_of(
        st.sampled_from("/?#%&=+;:@[]\\ \r\n\t\0.~*_\u00fc\U0001f642"),
        st.characters(exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=12,
)


def _stored(client: Client, path: str) -> t.Dict[str, t.Optional[str]]:
    """Keys and their values below a path; without the hidden ones, which no listing shows."""
    below = client.read(path, recursive=True, quorum=True).node
    return {one[0]: one[1] for one in below.walk() if not one[2]}


def test_a_write_lands_on_its_key_only(own_single: Cluster, key: str) -> None:
    """Whatever the key is called, its write is found there, and nothing else has changed."""
    client = Client(own_single.endpoints)
    client.write(key + "/bystander", "untouched")
    before = _stored(client, "/")

    @some
    @given(names, names)
    def lands(name: str, value: str) -> None:
        written = "%s/x/%s" % (key, name)
        try:
            client.write(written, value)
        except errors.ClientException:
            assert _stored(client, "/") == before
            return
        try:
            assert client.read(written, quorum=True).node.value == value
            canonical = written[:-1] if written.endswith("/") else written
            shown = {} if "/_" in canonical else {canonical: value}
            assert _stored(client, "/") == dict(before, **shown)
        finally:
            client.rmdir(key + "/x", recursive=True)
        assert _stored(client, "/") == before

    lands()
