# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""https: who is trusted, who is refused, and that a refusal means that nothing was written."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import subprocess
import tempfile
import typing as t
import warnings
from dataclasses import replace

import pytest
import trustme
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Binary, Certs, Cluster, Tls
from hostile import Alerting, Deaf, Hostile, says, tunnels_to


@pytest.fixture
def files(pem: Certs) -> t.Dict[str, str]:
    """What a client of the secure node needs."""
    return {"ca_cert": pem.ca_cert, "client_cert": pem.client_cert, "client_key": pem.client_key}


@pytest.fixture
def good(secure: Cluster, files: t.Dict[str, str]) -> Client:
    """A client that is let in."""
    return Client(secure.endpoints, **files)


@pytest.fixture(scope="session")
def server_only(binary: Binary, pem: Certs) -> t.Iterator[Cluster]:
    """One https node that lets everybody in."""
    with Cluster(binary, tls=Tls(pem)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def expired(binary: Binary, pem: Certs) -> t.Iterator[Cluster]:
    """One https node whose certificate has expired."""
    with Cluster(binary, tls=Tls(pem, expired=True)) as cluster:
        yield cluster


def test_ca_and_client_certificate(good: Client, secure: Cluster, key: str) -> None:
    """All operations work over https, over one connection and several."""
    result = good.write(key, "õäö🙂" * 1000)
    assert result.endpoint == secure.endpoints[0]
    assert good.read(key, quorum=True).node.value == "õäö🙂" * 1000
    assert good.health is True
    assert good.health_of(secure.endpoints[0]).health is True
    assert good.members()[0].client_urls == tuple(secure.endpoints)
    with pytest.raises(errors.EtcdWatchTimeout):
        good.read(key, wait=True, timeout=0.3)
    index = result.node.modified_index
    assert good.read(key, wait=True, wait_index=index, timeout=5).node.modified_index == index


def test_protocol_for_endpoints_without_one(
    secure: Cluster, files: t.Dict[str, str], key: str
) -> None:
    """protocol='https' is for the endpoints that name none."""
    host = secure.endpoints[0].partition("://")[2]
    assert Client(host, protocol="https", **files).write(key, "x").endpoint == secure.endpoints[0]


def test_long_key_over_tls(good: Client, key: str) -> None:
    """Keys up to the limit of plain http work over TLS as well."""
    long_key = key + "/" + "s" * 3500
    assert good.write(long_key, "x").node.key == long_key


def _nothing_written(good: Client, key: str) -> None:
    with pytest.raises(errors.EtcdKeyNotFound):
        good.read(key, quorum=True)


@pytest.mark.parametrize("kind", ["none", "foreign"])
def test_bad_client_certificate(
    kind: str, secure: Cluster, pem: Certs, good: Client, key: str
) -> None:
    """The server refuses the handshake, and the request is not carried out.

    In TLS 1.3 its refusal arrives when we have begun to send, and the end of the connection may
    come before it, or take its place. Then nothing tells that the server never read the request.
    """
    foreign = {"client_cert": pem.foreign_client_cert, "client_key": pem.foreign_client_key}
    files = dict(foreign if kind == "foreign" else {}, ca_cert=pem.ca_cert)
    client = Client(secure.endpoints, total_timeout=1.0, **files)
    for unused in range(3):
        with pytest.raises(errors.EtcdUnreachable) as unread:
            client.read(key)
        assert unread.value.errors[0][0] == secure.endpoints[0]
        if isinstance(unread.value, errors.EtcdTLSFailure):
            # 3.5.16 and newer call a foreign one "unknown ca", older ones "bad certificate".
            said = unread.value.errors[0][1]
            assert "certificate" in said or (kind == "foreign" and "unknown ca" in said)
        with pytest.raises((errors.EtcdTLSFailure, errors.EtcdOutcomeUnknown)) as unwritten:
            client.write(key, "bad")
        assert secure.endpoints[0] in str(unwritten.value)
    _nothing_written(good, key)


def _refused(client: Client, key: str) -> str:
    """What a client that does not trust its server says, of a read and of a write."""
    said = []
    for operation in (lambda: client.read(key), lambda: client.write(key, "bad")):
        with pytest.raises(errors.EtcdTLSFailure) as caught:
            operation()
        assert len(caught.value.errors) == 1
        said.append(caught.value.errors[0][1])
    assert said[0] == said[1]
    assert "the certificate is not accepted" in said[0]
    return said[0]


def test_wrong_ca(
    secure: Cluster, pem: Certs, files: t.Dict[str, str], good: Client, key: str
) -> None:
    """We refuse a server that our authority does not know."""
    said = _refused(Client(secure.endpoints, **dict(files, ca_cert=pem.other_ca_cert)), key)
    assert "local issuer" in said or "self-signed" in said or "self signed" in said
    _nothing_written(good, key)


def test_no_ca(server_only: Cluster, key: str) -> None:
    """Without ca_cert the public authorities are trusted, which do not know ours."""
    _refused(Client(server_only.endpoints), key)


def test_expired_server_certificate(expired: Cluster, pem: Certs, key: str) -> None:
    """The message says that it has expired."""
    said = _refused(Client(expired.endpoints, ca_cert=pem.ca_cert), key)
    assert "certificate has expired" in said


def test_certificate_for_another_host(
    binary: Binary, pem: Certs, tmp_path: t.Any, key: str
) -> None:
    """The name in the certificate must be the one that was asked for."""
    authority = trustme.CA()
    cert = authority.issue_cert("etcd.example.com")
    paths = [os.path.join(str(tmp_path), name) for name in ("ca.crt", "host.crt", "host.key")]
    authority.cert_pem.write_to_path(paths[0])
    cert.cert_chain_pems[0].write_to_path(paths[1])
    cert.private_key_pem.write_to_path(paths[2])
    # In the place of the expired one, because of that the harness itself checks no more.
    certs = replace(pem, expired_server_cert=paths[1], expired_server_key=paths[2])
    with Cluster(binary, tls=Tls(certs, expired=True)) as cluster:
        said = _refused(Client(cluster.endpoints, ca_cert=paths[0]), key)
        assert "127.0.0.1" in said
        port = cluster.endpoints[0].rpartition(":")[2]
        said = _refused(Client("https://localhost:" + port, ca_cert=paths[0]), key)
        assert "localhost" in said


def test_without_validation(expired: Cluster, key: str) -> None:
    """validate_certs=False accepts whoever answers, and warns once."""
    said: t.List[str] = []
    client = Client(expired.endpoints, validate_certs=False, warn=said.append)
    assert client.write(key, "x").attempts == 1
    assert client.read(key).node.value == "x"
    assert said == ["certificates are not validated: whoever answers is taken for etcd"]


def test_http_to_an_https_port(secure: Cluster, good: Client, key: str) -> None:
    """The server hangs up: for a read that is a broken answer, for a write an unknown outcome."""
    plain = Client(secure.endpoints[0].replace("https", "http"), total_timeout=1.0)
    with pytest.raises(errors.EtcdException) as caught:
        plain.read(key)
    assert secure.endpoints[0].replace("https", "http") in str(caught.value)
    with pytest.raises(errors.EtcdException):
        plain.write(key, "bad")
    _nothing_written(good, key)


def test_https_to_an_http_port(single: Cluster, pem: Certs, client: Client, key: str) -> None:
    """The handshake fails, so nothing was sent, and a write's outcome is known.

    The server hangs up or resets the connection; which of the two, TLS alone does not decide.
    """
    url = single.endpoints[0].replace("http", "https")
    secure_client = Client(url, ca_cert=pem.ca_cert, total_timeout=1.0)
    for operation in (
        lambda: secure_client.read(key),
        lambda: secure_client.write(key, "bad"),
    ):
        with pytest.raises(errors.EtcdUnreachable) as caught:
            operation()
        assert url in str(caught.value)
    _nothing_written(client, key)


def test_goes_on_past_an_endpoint_with_a_bad_certificate(
    secure: Cluster, expired: Cluster, files: t.Dict[str, str], key: str
) -> None:
    """A refused handshake is a request that never left: a write goes to the next endpoint."""
    client = Client([expired.endpoints[0], secure.endpoints[0]], **files)
    result = client.write(key, "x")
    assert (result.endpoint, result.attempts) == (secure.endpoints[0], 2)


def _file(tmp_path: t.Any, content: str) -> str:
    path = os.path.join(str(tmp_path), "file.pem")
    with open(path, "w", encoding="ascii") as file:
        file.write(content)
    return path


def test_files_that_cannot_be_used(
    secure: Cluster, pem: Certs, files: t.Dict[str, str], tmp_path: t.Any, key: str
) -> None:
    """Each gives one sentence that names the files, before anything is sent."""
    locked = os.path.join(str(tmp_path), "locked.key")
    subprocess.run(
        ["openssl", "pkey", "-in", pem.client_key, "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
        stderr=subprocess.PIPE,
    )
    for wrong in (
        {"client_key": "/nowhere.key"},
        {"client_cert": "/nowhere.crt"},
        {"client_key": pem.foreign_client_key},
        {"client_key": locked},
        {"client_key": _file(tmp_path, "this is no key")},
        {"ca_cert": "/nowhere-ca.crt"},
    ):
        client = Client(secure.endpoints, **dict(files, **wrong))
        for unused in range(2):
            with pytest.raises(errors.ClientException) as caught:
                client.read(key)
            assert all(path in str(caught.value) for path in wrong.values())


def test_ca_that_is_none(
    secure: Cluster, files: t.Dict[str, str], tmp_path: t.Any, key: str
) -> None:
    """A file without a certificate in it is no authority."""
    wrong = dict(files, ca_cert=_file(tmp_path, "this is no certificate"))
    with pytest.raises(errors.ClientException) as caught:
        Client(secure.endpoints, **wrong).read(key)
    assert "ca_cert" in str(caught.value)


def test_fault_behind_tls(
    secure: Cluster, pem: Certs, files: t.Dict[str, str], proxy_to: ProxyTo, key: str
) -> None:
    """A write whose answer is cut is as unknown over TLS as it is without."""
    proxy = proxy_to(secure.endpoints[0], tls=Tls(pem, client_auth=True))
    client = Client(proxy.url, **files)
    client.write(key, "1")
    for mode in ("cut_after_forward", "truncate", "reset"):
        proxy.forget()
        proxy.set_mode(mode, match="PUT")
        with pytest.raises(errors.EtcdOutcomeUnknown):
            client.write(key, "2")
        assert len(proxy.requests) == 1


NODE = b'{"action":"get","node":{"key":"/k","value":"v","modifiedIndex":5,"createdIndex":5}}'
ANSWER = b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nContent-Length: %d\r\n\r\n%s" % (len(NODE), NODE)
BASIC = b"Authorization: Basic"


class Impostor(t.NamedTuple):
    """How a server that is not to be trusted shows itself, and what a client says of it."""

    context: ssl.SSLContext
    ca_cert: str
    reason: str


def _context(certificate: trustme.LeafCert, chain: int = 2) -> ssl.SSLContext:
    """A server's, with this certificate and as much of its chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.private_key_pem.bytes())
        for blob in certificate.cert_chain_pems[:chain]:
            file.write(blob.bytes())
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _impostor(name: str, directory: str) -> Impostor:
    authority = trustme.CA()
    ca_cert = os.path.join(directory, "ca.pem")
    authority.cert_pem.write_to_path(ca_cert)
    good = authority.issue_cert("127.0.0.1")
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    if name == "another host":
        return Impostor(
            _context(authority.issue_cert("etcd.example.com")),
            ca_cert,
            "IP address mismatch|doesn't match",
        )
    if name == "expired":
        cert = authority.issue_cert(
            "127.0.0.1", not_before=yesterday - datetime.timedelta(days=1), not_after=yesterday
        )
        return Impostor(_context(cert), ca_cert, "certificate has expired")
    if name == "self-signed":
        pair = [os.path.join(directory, one) for one in ("self.crt", "self.key")]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-subj", "/CN=self", "-addext", "subjectAltName=IP:127.0.0.1"]
            + ["-out", pair[0], "-keyout", pair[1]],
            check=True,
            stderr=subprocess.PIPE,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        return Impostor(context, ca_cert, "self[- ]signed")
    if name == "no intermediate":
        leaf = authority.create_child_ca().issue_cert("127.0.0.1")
        return Impostor(_context(leaf, chain=1), ca_cert, "unable to get local issuer")
    # A server that speaks nothing newer than TLS 1.1, as far as the library lets it.
    context = _context(good)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return Impostor(context, ca_cert, "protocol|handshake failure|internal error")


@pytest.mark.parametrize(
    "name", ["another host", "expired", "self-signed", "no intermediate", "TLS 1.1"]
)
def test_an_impostor_is_refused_and_gets_nothing(name: str, tmp_path: t.Any) -> None:
    """Neither a request nor a password reaches it; the error says why."""
    impostor = _impostor(name, str(tmp_path))
    with Hostile(says(ANSWER), impostor.context) as server:
        client = Client(
            server.url, ca_cert=impostor.ca_cert, username="root", password="hush-password"
        )
        for operation in (lambda: client.read("/k"), lambda: client.write("/k", "v")):
            with pytest.raises(errors.EtcdTLSFailure, match=impostor.reason) as caught:
                operation()
            assert server.url in str(caught.value)
        assert server.heads == []


def _lax_context(**unused: t.Any) -> ssl.SSLContext:
    """As older libraries make it, or settings of a system; to OpenSSL all host names are right."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("name", ["another host", "TLS 1.1"])
def test_an_impostor_is_refused_where_the_libraries_are_lax(
    name: str, tmp_path: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python itself connects with such a context; the client does not."""
    impostor = _impostor(name, str(tmp_path))
    for module in ("urllib3.util.ssl_", "urllib3.connection"):
        monkeypatch.setattr(module + ".create_urllib3_context", _lax_context)
    with Hostile(says(ANSWER), impostor.context) as server:
        host, unused, port = server.url.partition("://")[2].partition(":")
        allowing = _lax_context()
        allowing.load_verify_locations(impostor.ca_cert)
        with socket.create_connection((host, int(port))) as plain:
            with allowing.wrap_socket(plain, server_hostname=host) as connection:
                assert connection.version()
        with pytest.raises(errors.EtcdTLSFailure, match=impostor.reason) as caught:
            Client(server.url, ca_cert=impostor.ca_cert).read("/k")
        assert server.url in str(caught.value)
        assert server.heads == []


def test_without_ca_cert_the_authorities_of_requests_are_trusted(
    tmp_path: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no others."""
    authority = trustme.CA()
    with Hostile(says(ANSWER), _context(authority.issue_cert("127.0.0.1"))) as server:
        with pytest.raises(errors.EtcdTLSFailure, match="unable to get local issuer"):
            Client(server.url).read("/k")
        ca_cert = os.path.join(str(tmp_path), "ca.pem")
        authority.cert_pem.write_to_path(ca_cert)
        monkeypatch.setattr("requests.certs.where", lambda: ca_cert)
        assert Client(server.url).read("/k").node.value == "v"


def test_a_whole_chain_is_accepted(tmp_path: t.Any) -> None:
    """The same server as without its intermediate certificate, with it."""
    authority = trustme.CA()
    ca_cert = os.path.join(str(tmp_path), "ca.pem")
    authority.cert_pem.write_to_path(ca_cert)
    leaf = authority.create_child_ca().issue_cert("127.0.0.1")
    with Hostile(says(ANSWER), _context(leaf)) as server:
        assert Client(server.url, ca_cert=ca_cert).read("/k").node.value == "v"
        assert len(server.heads) == 1


def test_a_plain_answer_to_tls_is_refused() -> None:
    """Who asked for https is not answered in the clear; what went there is a handshake only."""
    with Deaf(says(ANSWER)) as server:
        url = server.url.replace("http:", "https:")
        client = Client(url, username="root", password="hush-password")
        for operation in (lambda: client.read("/k"), lambda: client.write("/k", "v")):
            with pytest.raises(errors.EtcdTLSFailure, match="wrong version|record layer") as caught:
                operation()
            assert url in str(caught.value)
        assert server.heads
        assert not any(BASIC in head or b"/v2/keys" in head for head in server.heads)


def test_an_alert_after_the_handshake_is_no_certainty(
    single: Cluster, client: Client, tmp_path: t.Any, key: str
) -> None:
    """The write was carried out before it came; it is not sent to the next endpoint."""
    authority = trustme.CA()
    ca_cert = os.path.join(str(tmp_path), "ca.pem")
    authority.cert_pem.write_to_path(ca_cert)
    context = _context(authority.issue_cert("127.0.0.1"))
    with Alerting(single.endpoints[0], context) as server:
        both = Client([server.url, single.endpoints[0]], ca_cert=ca_cert, hedge_delay=8.0)
        both.read("/")
        with pytest.raises(errors.EtcdOutcomeUnknown, match="alert bad record mac"):
            both.write(key, "1")
        assert len(server.heads) == 2
    assert client.read(key).node.value == "1"


def test_tls_through_a_proxy(
    secure: Cluster, files: t.Dict[str, str], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for a tunnel only; the other end of it has to prove who it is."""
    host, unused, port = secure.endpoints[0].partition("://")[2].partition(":")
    monkeypatch.setitem(os.environ, "no_proxy", "")
    with Hostile(tunnels_to(host, int(port))) as proxy:
        monkeypatch.setitem(os.environ, "https_proxy", proxy.url)
        client = Client(secure.endpoints[0], use_proxy=True, **files)
        client.write(key, "x")
        assert client.read(key, quorum=True).node.value == "x"
        (head,) = proxy.heads
        assert head.startswith(b"CONNECT %s:%s HTTP/1." % (host.encode(), port.encode()))
        untrusting = Client(secure.endpoints[0], use_proxy=True)
        with pytest.raises(errors.EtcdTLSFailure, match="unable to get local issuer"):
            untrusting.read(key)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_out_of_tls_is_not_followed(status: int, tmp_path: t.Any) -> None:
    """Neither to http nor to another https server; the password stays where it was meant for."""
    authority = trustme.CA()
    ca_cert = os.path.join(str(tmp_path), "ca.pem")
    authority.cert_pem.write_to_path(ca_cert)
    context = _context(authority.issue_cert("127.0.0.1"))
    with Hostile(says(ANSWER)) as plain, Hostile(says(ANSWER), context) as other:
        for target in (plain, other):
            go = b"HTTP/1.1 %d Go\r\nLocation: %s/v2/keys/k\r\nConnection: close\r\n" % (
                status,
                target.url.encode("ascii"),
            )
            with Hostile(says(go + b"Content-Length: 0\r\n\r\n"), context) as server:
                client = Client(
                    server.url, ca_cert=ca_cert, username="root", password="hush-password"
                )
                for operation in (lambda: client.read("/k"), lambda: client.write("/k", "v")):
                    with pytest.raises(errors.EtcdInvalidResponse) as caught:
                        operation()
                    assert "a redirect to " + target.url in str(caught.value)
                assert [BASIC in head for head in server.heads] == [True, True]
        assert plain.heads == other.heads == []
