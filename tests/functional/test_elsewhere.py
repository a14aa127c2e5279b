# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of members that are not among the endpoints, and what such members cost.

The members advertise other URLs than those at which they listen, as behind a NAT: a proxy that logs
what arrives, a port where nobody listens, a scheme that cannot be asked.
"""

from __future__ import annotations

import re
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.info import SUBSETS, gather_info
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.member import manage_member
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Binary, Certs, Cluster, FaultProxy, Member, Tls, ports
from options import left_out

Report = t.Dict[str, t.Any]

#: All that a member elsewhere is asked.
_OPEN = {"/v2/stats/self", "/version", "/health"}

_NEW = "http://127.0.0.1:1"


def _add(client: Client, *, apply: bool = False, **options: t.Any) -> Report:
    """Would a fourth member be added?"""
    given = dict(left_out("etcd_member"), name="m4", peer_urls=[_NEW], **options)
    return manage_member(given, lambda: client, apply=apply)


def _set_ttl(client: Client, key: str, *, apply: bool = True) -> Report:
    given = dict(left_out("etcd_dir"), path=key, ttl=60)
    return manage_dir(given, lambda: client, apply=apply)


def _restart(cluster: Cluster, member: Member, **settings: str) -> None:
    """Start a member again with other settings."""
    changed = {"--" + name.replace("_", "-"): value for name, value in settings.items()}
    kept = [one for one in member.command if one.partition("=")[0] not in changed]
    member.terminate()
    member.command = kept + ["%s=%s" % pair for pair in changed.items()]
    member.start()
    cluster.wait_healthy()


@pytest.fixture(scope="module")
def cluster(binary: Binary) -> t.Iterator[Cluster]:
    """Three members, whose advertised URLs each test sets."""
    with Cluster(binary, size=3) as one:
        yield one


def _refusal(client: Client) -> str:
    with pytest.raises(Refusal) as caught:
        _add(client)
    return str(caught.value)


def _asked(proxy: FaultProxy) -> t.Set[str]:
    return {seen.target for seen in proxy.requests}


def _authorized(proxy: FaultProxy) -> t.List[str]:
    """What came with credentials."""
    return [seen.target for seen in proxy.requests if "Authorization" in seen.headers]


def test_credentials_stay_with_the_endpoints(cluster: Cluster, proxy_to: ProxyTo, key: str) -> None:
    """The others are asked for who they are, health and version, over one connection each."""
    proxies = [proxy_to(member.endpoint) for member in cluster.members]
    for member, proxy in zip(cluster.members, proxies):
        _restart(cluster, member, advertise_client_urls=proxy.url)
    configured = proxy_to(cluster.members[0].endpoint)
    plain = Client(cluster.endpoints)
    plain.mkdir(key, ttl=600)

    def client() -> Client:
        for proxy in (*proxies, configured):
            proxy.forget()
        return Client(configured.url, username="root", password="secret")

    def look(own: t.Set[str]) -> None:
        assert _authorized(configured), "the endpoint itself gets them"
        assert configured.connections == 1
        assert own <= _asked(configured)
        # The first member is known by its id, at the endpoint.
        assert [one.connections for one in proxies] == [0, 1, 1]
        for proxy in proxies[1:]:
            assert _authorized(proxy) == []
            assert len(proxy.requests) == len(_asked(proxy)) == 2
            assert _asked(proxy) <= _OPEN

    added = _add(client())
    assert (added["changed"], added["warnings"]) == (True, [])
    look({"/health", "/v2/stats/self"})
    if cluster.binary.version.startswith("3.4."):
        assert _set_ttl(client(), key, apply=False)["changed"]
        look({"/version", "/v2/stats/self"})
    by_hand = client()
    assert by_hand.health_of(proxies[1].url).health is True
    assert by_hand.stats_self(proxies[1].url).name == "m2"
    assert _authorized(proxies[1]) == []


def test_every_endpoint_is_asked_over_one_connection(
    cluster: Cluster, proxy_to: ProxyTo, key: str
) -> None:
    """Also by etcd_info, for all that it can gather; and latency is measured."""
    proxies = [proxy_to(member.endpoint) for member in cluster.members]
    client = Client([proxy.url for proxy in proxies], username="root", password="secret")
    gather = [one for one in SUBSETS if one != "stats"]
    report = gather_info({"gather": gather}, lambda: client, apply=True)
    assert report["quorum"]["healthy"] == 3
    assert all(one["latency"] > 0 for one in report["endpoints"])
    assert [one.connections for one in proxies] == [1, 1, 1]
    assert [len(one.requests) for one in proxies] == [7, 7, 7]
    assert all(len(_authorized(one)) == 7 for one in proxies)


def test_latency_is_that_of_an_answer(cluster: Cluster, proxy_to: ProxyTo) -> None:
    """Not that of connecting, nor that of the answer on health."""
    slow_to_tell = proxy_to(cluster.members[0].endpoint)
    slow_to_tell.set_mode("delay", match=lambda method, target: target == "/health", delay=1.0)
    slow = proxy_to(cluster.members[1].endpoint)
    slow.set_mode("delay", delay=0.4)
    client = Client([slow_to_tell.url, slow.url])
    report = gather_info({"gather": ["health"]}, lambda: client, apply=True)
    first, second = (one["latency"] for one in report["endpoints"])
    assert first < 0.4 <= second < 1.0


def test_urls_that_cannot_be_reached(cluster: Cluster) -> None:
    """Behind a NAT: the endpoints are asked, and a member is known by its id."""
    nowhere = ["http://127.0.0.1:%d" % ports.free_port() for unused in cluster.members]
    for member, url in zip(cluster.members, nowhere):
        _restart(cluster, member, advertise_client_urls=url)
    everybody = Client(cluster.endpoints)
    assert (_add(everybody)["changed"], _add(everybody)["warnings"]) == (True, [])
    info = gather_info({"gather": ["health", "members"]}, lambda: everybody, apply=True)
    assert info["quorum"] == {"size": 3, "needed": 2, "healthy": 3}
    says = _refusal(Client(cluster.endpoints[0]))
    assert "would have 4 members and need 3 of them, and 1 are started and healthy" in says
    for name, url in zip(("m2", "m3"), nowhere[1:]):
        asked = "the member %s could not be asked for its health (%s: connection refused)"
        assert asked % (name, url) in says
    assert "the member m1" not in says


def test_urls_of_other_kinds(cluster: Cluster, key: str) -> None:
    """Capitals, and a scheme that cannot be asked; both are legal for etcd."""
    first, second, third = cluster.members
    loud = re.sub("127.0.0.1", "LocalHost", second.endpoint)
    _restart(cluster, first, advertise_client_urls=first.endpoint)
    _restart(cluster, second, advertise_client_urls=loud)
    _restart(cluster, third, advertise_client_urls="unix://127.0.0.1:1")
    assert (loud,) in [one.client_urls for one in Client(first.endpoint).members()]
    says = _refusal(Client(first.endpoint))
    assert "and 2 are started and healthy" in says
    assert "the member m3 could not be asked for its health (unix://127.0.0.1:1 is not" in says
    assert "m2" not in says
    Client(first.endpoint).mkdir(key, ttl=600)
    if cluster.binary.version.startswith("3.4."):
        changed = _set_ttl(Client(first.endpoint), key)
        assert changed["changed"]
        assert "the version of the member m3 is not known (unix://" in changed["warnings"][0]
    else:
        with pytest.raises(Refusal):
            _set_ttl(Client(first.endpoint), key)


def test_a_url_that_several_members_advertise(cluster: Cluster) -> None:
    """As etcd's default does, http://localhost:2379: whoever answers is counted once."""
    for member in cluster.members:
        _restart(cluster, member, advertise_client_urls=cluster.members[0].endpoint)
    says = _refusal(Client(cluster.members[0].endpoint))
    assert "and 1 are started and healthy" in says
    assert "%s is answered by another member" % cluster.members[0].endpoint in says


def test_http_urls_of_an_https_cluster(binary: Binary, pem: Certs, proxy_to: ProxyTo) -> None:
    """They are never asked, whatever would answer."""
    tls = Tls(pem, client_auth=True)
    files = {"ca_cert": pem.ca_cert, "client_cert": pem.client_cert, "client_key": pem.client_key}
    with Cluster(binary, size=2, tls=tls) as cluster:
        trap = proxy_to(cluster.endpoints[1])
        _restart(cluster, cluster.members[1], advertise_client_urls=trap.url)
        client = Client(cluster.endpoints[0], username="root", password="secret", **files)
        says = _refusal(client)
        assert "the member m2 could not be asked for its health (%s is http, and" % trap.url in says
        assert (trap.requests, trap.connections) == ([], 0)
        # The client's certificate is shown to members elsewhere: it is no secret, and they ask for it.
        inner = proxy_to(cluster.endpoints[1], tls=tls)
        _restart(cluster, cluster.members[1], advertise_client_urls=inner.url)
        assert _add(client)["changed"]
        assert _asked(inner) == {"/v2/stats/self", "/health"}
        assert _authorized(inner) == []


def test_urls_that_speak_grpc_only(binary: Binary) -> None:
    """The endpoints are the HTTP ones, which nothing advertises."""
    major, minor, patch = (int(one) for one in binary.version.split("."))
    if (minor, patch) < ((4, 25) if minor == 4 else (5, 8)):
        pytest.skip("--listen-client-http-urls came with 3.4.25 and 3.5.8")
    assert major == 3
    with Cluster(binary, size=3) as cluster:
        urls = []
        for member in cluster.members:
            urls.append("http://127.0.0.1:%d" % ports.free_port())
            kept = member.endpoint
            member.endpoint = urls[-1]
            _restart(cluster, member, listen_client_http_urls=urls[-1])
            assert "--advertise-client-urls=" + kept in member.command
        assert _add(Client(urls))["changed"]
        says = _refusal(Client(urls[0]))
        assert "the member m2 could not be asked for its health (" in says
