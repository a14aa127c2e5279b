# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SRV discovery: a real DNS server, dnspython's own resolver, real clusters behind the names."""

from __future__ import annotations

import time
import typing as t
from urllib.parse import urlsplit

import dns.resolver
import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Certs, Cluster, ports
from harness.dnsserver import DnsServer, Srv
from hostile import Hostile, says

PLAIN = "_etcd-client._tcp.etcd.test"
SECURE = "_etcd-client-ssl._tcp.etcd.test"


@pytest.fixture
def dns_server() -> t.Iterator[DnsServer]:
    """A DNS server without records."""
    with DnsServer({}) as server:
        yield server


class Finder:
    """Makes clients that find their cluster through the DNS server."""

    def __init__(self, server: DnsServer) -> None:
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = [server.host]
        self._resolver.port = server.port
        self.warnings: t.List[str] = []

    def client(self, domain: str = "etcd.test", **options: t.Any) -> Client:
        """A client with this domain."""
        return Client(
            srv_domain=domain, resolver=self._resolver, warn=self.warnings.append, **options
        )


@pytest.fixture
def finder(dns_server: DnsServer) -> Finder:
    """What asks that DNS server."""
    return Finder(dns_server)


def _port(url: str) -> int:
    return int(urlsplit(url).port or 0)


def _srv(url: str, priority: int = 0, weight: int = 0) -> Srv:
    return Srv(priority, weight, _port(url), "localhost.")


def test_http(dns_server: DnsServer, finder: Finder, three: Cluster, key: str) -> None:
    """Three nodes by their records; a trailing dot of target and domain is cut."""
    dns_server.set_records({PLAIN: [_srv(url) for url in three.endpoints]})
    client = finder.client("etcd.test.")
    assert client.write(key, "x").endpoint in client.endpoints()
    wanted = {"http://localhost:%d" % _port(url) for url in three.endpoints}
    assert set(client.endpoints()) == wanted
    assert dns_server.queries == [SECURE, PLAIN]
    assert finder.warnings == []
    # The records are asked for once.
    client.read(key)
    assert len(dns_server.queries) == 2


def test_https(
    dns_server: DnsServer, finder: Finder, secure: Cluster, pem: Certs, key: str
) -> None:
    """The records with -ssl give https endpoints."""
    url = secure.endpoints[0]
    dns_server.set_records({SECURE: [_srv(url)]})
    client = finder.client(
        ca_cert=pem.ca_cert, client_cert=pem.client_cert, client_key=pem.client_key
    )
    assert client.write(key, "x").endpoint == "https://localhost:%d" % _port(url)


def test_http_is_dropped_where_https_is(
    dns_server: DnsServer,
    finder: Finder,
    single: Cluster,
    secure: Cluster,
    pem: Certs,
    key: str,
) -> None:
    """With a warning; srv_allow_insecure uses both, https first."""
    dns_server.set_records(
        {PLAIN: [_srv(single.endpoints[0])], SECURE: [_srv(secure.endpoints[0])]}
    )
    files = {"ca_cert": pem.ca_cert, "client_cert": pem.client_cert, "client_key": pem.client_key}
    client = finder.client(**files)
    assert client.endpoints() == ("https://localhost:%d" % _port(secure.endpoints[0]),)
    assert client.write(key, "x").attempts == 1
    assert len(finder.warnings) == 1
    assert "srv_allow_insecure" in finder.warnings[0]
    finder.warnings.clear()
    both = finder.client(srv_allow_insecure=True, **files)
    assert [urlsplit(url).scheme for url in both.endpoints()] == ["https", "http"]
    assert finder.warnings == []


@pytest.mark.parametrize("asked", ["protocol", "ca_cert"])
def test_a_password_for_tls_is_not_sent_to_http_members(
    asked: str, dns_server: DnsServer, finder: Finder, pem: Certs
) -> None:
    """Where DNS says that there are no others, which somebody may have forged, either."""
    with Hostile(says(b"")) as server:
        dns_server.set_records({PLAIN: [_srv(server.url)]})
        tls = {"protocol": "https"} if asked == "protocol" else {"ca_cert": pem.ca_cert}
        client = finder.client(username="root", password="hush-password", **tls)
        for operation in (lambda: client.read("/k"), lambda: client.write("/k", "v")):
            with pytest.raises(errors.EtcdDiscoveryFailed, match="srv_allow_insecure") as caught:
                operation()
            assert "hush" not in str(caught.value)
        assert server.heads == []


def test_name_suffix(dns_server: DnsServer, finder: Finder, single: Cluster, key: str) -> None:
    """One domain may publish several clusters."""
    dns_server.set_records({"_etcd-client-blue._tcp.etcd.test": [_srv(single.endpoints[0])]})
    finder.client(srv_name="blue").write(key, "x")
    assert dns_server.queries == [
        "_etcd-client-ssl-blue._tcp.etcd.test",
        "_etcd-client-blue._tcp.etcd.test",
    ]
    with pytest.raises(errors.EtcdDiscoveryFailed):
        finder.client().read(key)


def test_priorities(dns_server: DnsServer, finder: Finder, three: Cluster, key: str) -> None:
    """The lowest number first, whatever the order of the records."""
    urls = three.endpoints
    dns_server.set_records({PLAIN: [_srv(urls[0], 30), _srv(urls[1], 10), _srv(urls[2], 20)]})
    client = finder.client()
    assert [_port(url) for url in client.endpoints()] == [_port(urls[one]) for one in (1, 2, 0)]
    assert _port(client.write(key, "x").endpoint) == _port(urls[1])


def test_weights(dns_server: DnsServer, finder: Finder, three: Cluster) -> None:
    """Within one priority, the heavier one comes first nearly always, and all of them are there."""
    urls = three.endpoints
    dns_server.set_records({PLAIN: [_srv(urls[0], 0, 1), _srv(urls[1], 0, 60000)]})
    orders = [finder.client().endpoints() for unused in range(10)]
    heavy = [_port(order[0]) == _port(urls[1]) for order in orders]
    assert sum(heavy) >= 9
    assert all(len(order) == 2 for order in orders)


def test_dead_record(dns_server: DnsServer, finder: Finder, single: Cluster, key: str) -> None:
    """A record of a node that is gone is an endpoint that cannot be reached."""
    dead = "http://127.0.0.1:%d" % ports.free_port()
    dns_server.set_records({PLAIN: [_srv(dead, 1), _srv(single.endpoints[0], 2)]})
    assert finder.client().write(key, "x").attempts == 2


def test_long_answer_comes_by_tcp(
    dns_server: DnsServer, finder: Finder, single: Cluster, key: str
) -> None:
    """An answer that is cut short over UDP is asked for again over TCP."""
    dns_server.set_records({PLAIN: [_srv(single.endpoints[0])], SECURE: []})
    dns_server.set_mode("truncate")
    finder.client().write(key, "x")
    assert dns_server.transports == ["udp", "tcp", "udp", "tcp"]


def test_no_such_records(dns_server: DnsServer, finder: Finder, key: str) -> None:
    """The error names every record, and localhost is never tried instead."""
    started = time.monotonic()
    with pytest.raises(errors.EtcdDiscoveryFailed) as caught:
        finder.client().read(key)
    assert time.monotonic() - started < 2.0
    assert "%s: no such record; %s: no such record" % (SECURE, PLAIN) in str(caught.value)
    dns_server.set_records({PLAIN: [], SECURE: []})
    with pytest.raises(errors.EtcdDiscoveryFailed) as caught:
        finder.client().read(key)
    assert SECURE in str(caught.value)
    assert PLAIN in str(caught.value)


def test_service_not_offered(dns_server: DnsServer, finder: Finder, key: str) -> None:
    """The target "." says that there is none (RFC 2782)."""
    dns_server.set_records({PLAIN: [Srv(0, 0, 0, ".")]})
    with pytest.raises(errors.EtcdDiscoveryFailed) as caught:
        finder.client().read(key)
    assert "%s: it says that the service is not offered" % PLAIN in str(caught.value)


@pytest.mark.parametrize("mode", ["servfail", "silent"])
def test_failing_name_server(
    mode: str, dns_server: DnsServer, finder: Finder, single: Cluster, key: str
) -> None:
    """It cannot be known whether https records exist, so http ones are not used."""
    dns_server.set_records({PLAIN: [_srv(single.endpoints[0])]})
    dns_server.set_mode(mode)
    started = time.monotonic()
    with pytest.raises(errors.EtcdDiscoveryFailed) as caught:
        finder.client(timeout=0.5).read(key)
    assert time.monotonic() - started < 3.0
    assert SECURE in str(caught.value)
    with pytest.raises(errors.EtcdDiscoveryFailed) as caught:
        finder.client(timeout=0.5, srv_allow_insecure=True).read(key)
    assert SECURE in str(caught.value)
    assert PLAIN in str(caught.value)


def test_silent_name_servers_are_inside_the_budget(
    dns_server: DnsServer, finder: Finder, key: str
) -> None:
    """However long each of the names could take by itself."""
    dns_server.set_mode("silent")
    started = time.monotonic()
    with pytest.raises(errors.EtcdDiscoveryFailed) as caught:
        finder.client(total_timeout=1.0, srv_allow_insecure=True).read(key)
    assert time.monotonic() - started < 4.0
    assert SECURE in str(caught.value)
    assert PLAIN in str(caught.value)


class SecretlyFailing(DnsServer):
    """Fails for the https records only, as one would have it who wants TLS to be left out."""

    def answer(self, data: bytes, transport: str) -> t.Optional[bytes]:
        """The answer to one message."""
        self.set_mode("servfail" if b"_etcd-client-ssl" in data else "answer")
        return super().answer(data, transport)


def test_silenced_https_records_do_not_switch_tls_off(single: Cluster, key: str) -> None:
    """http endpoints are known and are not used, unless that is allowed."""
    with SecretlyFailing({PLAIN: [_srv(single.endpoints[0])]}) as server:
        finder = Finder(server)
        with pytest.raises(errors.EtcdDiscoveryFailed) as caught:
            finder.client(timeout=0.5).read(key)
        assert SECURE in str(caught.value)
        assert PLAIN not in server.queries
        finder.client(timeout=0.5, srv_allow_insecure=True).write(key, "x")


def test_discovery_is_tried_again(
    dns_server: DnsServer, finder: Finder, single: Cluster, key: str
) -> None:
    """One failure is not remembered."""
    client = finder.client()
    with pytest.raises(errors.EtcdDiscoveryFailed):
        client.read(key)
    dns_server.set_records({PLAIN: [_srv(single.endpoints[0])]})
    assert client.write(key, "x").attempts == 1


def test_password_over_http_warns(
    dns_server: DnsServer, finder: Finder, single: Cluster, key: str
) -> None:
    """As with endpoints that are given."""
    dns_server.set_records({PLAIN: [_srv(single.endpoints[0])]})
    finder.client(username="root", password="secret").write(key, "x")
    assert len(finder.warnings) == 1
    assert "unencrypted" in finder.warnings[0]
    assert "secret" not in finder.warnings[0]
