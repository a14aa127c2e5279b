# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An endpoint that is not the one that was meant: the error says which it may be, and what to do."""

from __future__ import annotations

import http.server
import threading
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Binary, Certs, Cluster, Tls, ports
from harness.binaries import version_key
from hostile import Hostile, says

#: Seconds: a port that hangs up is asked again until the whole budget is over.
BUDGET = 2.0

#: The first releases of each minor version with --listen-client-http-urls.
HTTP_URLS = {(3, 4): (3, 4, 25), (3, 5): (3, 5, 8)}


def _client(*urls: str, **options: t.Any) -> Client:
    return Client(list(urls), total_timeout=BUDGET, **options)


def _refused(client: Client, kind: t.Type[errors.EtcdException], *words: str) -> None:
    """A read and a write fail with this error, which says these words."""
    for operation in (
        lambda: client.read("/k"),
        lambda: client.create_in_order("/k", "v"),
    ):
        with pytest.raises(kind) as caught:
            operation()
        for word in words:
            assert word in str(caught.value)
        # What is known not to have been carried out is never called unknown.
        assert not isinstance(caught.value, errors.EtcdOutcomeUnknown)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_port_that_speaks_grpc_only(binary: Binary, pem: Certs, secure: bool) -> None:
    """What is sent there has not been carried out, and goes to the next endpoint."""
    version = version_key(binary.version)
    if version < HTTP_URLS[version[0], version[1]]:
        pytest.skip("%s has no --listen-client-http-urls" % binary.version)
    tls = Tls(pem) if secure else None
    options = {"ca_cert": pem.ca_cert} if secure else {}
    with Cluster(binary, tls=tls) as cluster:
        (member,) = cluster.members
        member.terminate()
        grpc = member.endpoint
        member.endpoint = "%s:%d" % (grpc.rpartition(":")[0], ports.free_port())
        member.command.append("--listen-client-http-urls=" + member.endpoint)
        member.start()
        member.wait_healthy()
        client = _client(grpc, **options)
        if secure and version > (3, 5, 16):
            # Seen on 3.5.30: over TLS it does not say that it speaks HTTP/2, and just hangs up.
            with pytest.raises(errors.EtcdUnreachable, match="as by one that speaks gRPC only; "):
                client.read("/k")
            with pytest.raises(errors.EtcdOutcomeUnknown, match="--listen-client-http-urls"):
                client.write("/k", "v")
            return
        _refused(
            client,
            errors.EtcdUnreachable,
            "speaks gRPC only on this port",
            "--listen-client-http-urls",
            grpc,
        )
        result = _client(grpc, member.endpoint, **options).create_in_order("/queue", "v")
        assert (result.endpoint, result.attempts) == (member.endpoint, 2)


def test_http_to_a_port_for_https(secure: Cluster) -> None:
    """It hangs up without a word; whether it read the write, nothing tells."""
    url = secure.endpoints[0].replace("https:", "http:")
    with pytest.raises(errors.EtcdUnreachable, match="write https://"):
        _client(url).read("/k")
    with pytest.raises(errors.EtcdOutcomeUnknown, match="write https://"):
        _client(url).write("/k", "v")


def test_https_to_a_port_for_http(single: Cluster, pem: Certs) -> None:
    """The handshake breaks off."""
    url = single.endpoints[0].replace("http:", "https:")
    _refused(
        _client(url, ca_cert=pem.ca_cert),
        errors.EtcdUnreachable,
        "if this is a port for http, write http:// in the endpoint",
    )


def test_a_server_that_asks_for_a_certificate(secure: Cluster, pem: Certs) -> None:
    """And none was given."""
    _refused(
        _client(secure.endpoints[0], ca_cert=pem.ca_cert),
        errors.EtcdTLSFailure,
        "set client_cert and client_key",
    )


def test_the_port_for_peers(single: Cluster) -> None:
    """It serves a part of HTTP, and not the API."""
    peer = single.members[0].peer_url
    _refused(_client(peer), errors.EtcdV2NotServed, "(2380)", "(2379)")
    result = _client(peer, single.endpoints[0]).create_in_order("/queue", "v")
    assert (result.endpoint, result.attempts) == (single.endpoints[0], 2)


def test_a_client_port_without_v2(without_v2: Cluster) -> None:
    """It is not taken for a port for peers."""
    with pytest.raises(errors.EtcdV2NotServed, match="--enable-v2=true") as caught:
        _client(without_v2.endpoints[0]).read("/k")
    assert "2380" not in str(caught.value)


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *unused: t.Any) -> None:
        """Not into the output of the tests."""


def test_a_web_server() -> None:
    """What it says of itself is in the error."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = _client("http://127.0.0.1:%d" % server.server_port)
        with pytest.raises(errors.EtcdV2NotServed, match="what answers is not etcd") as caught:
            client.read("/k")
        assert "<!DOCTYPE" in str(caught.value)
        # No write goes unknown for less: nobody can tell what a server does with an unknown verb.
        with pytest.raises(errors.EtcdOutcomeUnknown, match="HTTP 501"):
            client.write("/k", "v")
        server.shutdown()


@pytest.mark.parametrize(
    "body",
    [b"<html>Log in</html>", b'{"message":"Unauthorized"}', b""],
    ids=["page", "json", "none"],
)
def test_a_proxy_that_asks_for_credentials(body: bytes) -> None:
    """It is not etcd's error 110, and no user of etcd's is blamed for it."""
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with Hostile(says(answer)) as server:
        client = _client(server.url, username="somebody", password="x")
        for operation in (lambda: client.read("/k"), client.members, client.users):
            with pytest.raises(errors.EtcdRefused, match="a proxy before it") as caught:
                operation()
            assert caught.value.code is None
            assert "110" not in str(caught.value) and "somebody" not in str(caught.value)
