# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A first endpoint that is refused, black-holed or stopped; all of them down.

The bounds on time are generous: they tell "did not wait for it" from "waited for it", no more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
import typing as t

import pytest
import trustme
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Binary, Certs, Cluster, FaultProxy

#: Seconds that an operation may take that waits for nobody; those that it could wait are more.
SOON = 3.0

#: Seconds, instead of 0.1: a healthy endpoint answers sooner even on a machine that is very busy.
HEDGE = 0.8


class Took:
    """How long a block took."""

    seconds = 0.0

    def __enter__(self) -> "Took":
        self._start = time.monotonic()
        return self

    def __exit__(self, *unused: t.Any) -> None:
        self.seconds = time.monotonic() - self._start


@pytest.fixture
def first(three: Cluster, proxy_to: ProxyTo) -> FaultProxy:
    """A proxy before the first node."""
    proxy: FaultProxy = proxy_to(three.endpoints[0])
    return proxy


@pytest.fixture
def endpoints(three: Cluster, first: FaultProxy) -> t.List[str]:
    """The three nodes, the first of them behind the proxy."""
    return [first.url, *three.endpoints[1:]]


@pytest.mark.parametrize("mode", ["refuse", "blackhole", "hang"])
def test_read_goes_on(mode: str, first: FaultProxy, endpoints: t.List[str], key: str) -> None:
    """The first read waits for nobody, the second pays nothing, a write goes where it answered."""
    Client(endpoints[1:]).write(key, "x")
    first.set_mode(mode)
    client = Client(endpoints, connect_timeout=8.0, hedge_delay=HEDGE)
    with Took() as took:
        result = client.read(key, quorum=True)
    assert took.seconds < SOON
    assert result.node.value == "x"
    assert (result.endpoint, result.attempts) == (endpoints[1], 2)
    first.forget()
    again = client.read(key, quorum=True)
    assert (again.endpoint, again.attempts) == (endpoints[1], 1)
    with Took() as took:
        written = client.write(key, "y")
    assert took.seconds < SOON
    assert (written.endpoint, written.attempts) == (endpoints[1], 1)
    assert first.requests == []


def test_stays_where_it_is_answered(first: FaultProxy, endpoints: t.List[str], key: str) -> None:
    """The endpoint that answered is kept, also when the first one might be tried again."""
    first.set_mode("refuse")
    client = Client(endpoints)
    assert client.write(key, "x").attempts == 2
    first.set_mode("pass")
    time.sleep(1.2)
    result = client.write(key, "y")
    assert (result.endpoint, result.attempts) == (endpoints[1], 1)
    assert first.requests == []


def test_what_failed_lately_comes_last(
    three: Cluster, first: FaultProxy, proxy_to: ProxyTo, key: str
) -> None:
    """When the second one fails too, the third is asked before the first."""
    second = proxy_to(three.endpoints[1])
    client = Client([first.url, second.url, three.endpoints[2]])
    first.set_mode("refuse")
    assert client.write(key, "x").endpoint == second.url
    second.set_mode("refuse")
    result = client.write(key, "y")
    assert (result.endpoint, result.attempts) == (three.endpoints[2], 2)


def test_stopped_member(own_three: Cluster, key: str) -> None:
    """A real member under SIGSTOP accepts connections and is silent."""
    client = Client(own_three.endpoints)
    client.write(key, "x")
    own_three.members[0].pause()
    fresh = Client(own_three.endpoints, hedge_delay=HEDGE)
    # The stopped one may have been the leader, so this one does not ask for a quorum.
    with Took() as took:
        result = fresh.read(key)
    assert took.seconds < SOON
    assert result.node.value == "x"
    # On a busy machine the second one may also take longer than the hedge delay.
    assert result.endpoint in own_three.endpoints[1:]
    with Took() as took:
        assert fresh.read(key).endpoint in own_three.endpoints[1:]
    assert took.seconds < SOON
    # The connection that the other client kept alive is silent as well.
    with Took() as took:
        assert client.read(key).endpoint != own_three.endpoints[0]
    assert took.seconds < SOON


def test_stopped_member_and_a_write(own_three: Cluster, key: str) -> None:
    """Read and then write, as every module does, with a stopped follower in the first place."""
    leader = own_three.leader()
    follower = next(one for one in own_three.members if one is not leader)
    urls = [follower.endpoint, *(one.endpoint for one in own_three.members if one is not follower)]
    follower.pause()
    client = Client(urls, hedge_delay=HEDGE)
    with Took() as took:
        with pytest.raises(errors.EtcdKeyNotFound):
            client.read(key, quorum=True)
        result = client.compare_and_swap(key, "x", prev_exist=False)
    assert took.seconds < SOON
    assert (result.endpoint, result.attempts) == (urls[1], 1)


def test_killed_member(own_three: Cluster, key: str) -> None:
    """A client that was talking to a member goes on when it is killed, and may go back."""
    leader = own_three.leader()
    follower = next(one for one in own_three.members if one is not leader)
    urls = [follower.endpoint, *(one.endpoint for one in own_three.members if one is not follower)]
    client = Client(urls)
    assert client.write(key, "1").endpoint == urls[0]
    follower.kill()
    with Took() as took:
        assert client.read(key, quorum=True).endpoint != urls[0]
        assert client.write(key, "2").attempts == 1
    assert took.seconds < SOON
    follower.start()
    follower.wait_healthy()
    # Patient, as on a busy machine the first one may take longer than others are left alone.
    again = Client(urls, hedge_delay=8.0).read(key, quorum=True)
    assert again.endpoint == urls[0]


def test_write_to_a_refused_first_endpoint_goes_on(
    first: FaultProxy, endpoints: t.List[str], key: str
) -> None:
    """Nothing was sent, so any verb may go elsewhere."""
    first.set_mode("refuse")
    with Took() as took:
        result = Client(endpoints).write(key, "x")
    assert took.seconds < SOON
    assert (result.endpoint, result.attempts) == (endpoints[1], 2)


def test_write_to_a_black_holed_first_endpoint_goes_on(
    first: FaultProxy, endpoints: t.List[str], key: str
) -> None:
    """After one connect timeout, and never again."""
    first.set_mode("blackhole")
    client = Client(endpoints, connect_timeout=0.7)
    with Took() as took:
        result = client.create_in_order(key, "x")
    assert 0.6 < took.seconds < 0.7 + SOON
    assert (result.endpoint, result.attempts) == (endpoints[1], 2)
    assert client.create_in_order(key, "y").attempts == 1
    assert len(client.read(key).node.nodes) == 2


@pytest.mark.parametrize("operation", ["read", "write", "create_in_order"])
def test_the_only_endpoint_comes_back(
    operation: str, three: Cluster, proxy_to: ProxyTo, key: str
) -> None:
    """As when a single node, or a load balancer, restarts: the operation waits for it."""
    proxy = proxy_to(three.endpoints[0])
    client = Client(proxy.url)
    client.write(key + "/k", "x")
    proxy.set_mode("refuse")
    timer = threading.Timer(1.5, proxy.set_mode, ["pass"])
    timer.start()
    with Took() as took:
        if operation == "read":
            assert client.read(key + "/k").node.value == "x"
        elif operation == "write":
            assert client.write(key + "/k", "y").node.value == "y"
        else:
            assert client.create_in_order(key, "z").node.value == "z"
    timer.join()
    assert took.seconds > 1.0


def test_a_read_survives_a_load_balancer_without_a_server(
    three: Cluster, proxy_to: ProxyTo, key: str
) -> None:
    """It takes connections, and closes them at the first request."""
    proxy = proxy_to(three.endpoints[0])
    client = Client(proxy.url)
    client.write(key, "x")
    proxy.set_mode("cut_before_forward", times=5)
    assert client.read(key).node.value == "x"


def test_the_only_member_restarts(own_single: Cluster, key: str) -> None:
    """A real one, between two writes of one client."""
    client = Client(own_single.endpoints)
    client.write(key, "1")
    member = own_single.members[0]
    member.kill()
    timer = threading.Timer(1.0, member.start)
    timer.start()
    assert client.compare_and_swap(key, "2", prev_value="1").node.value == "2"
    timer.join()


@pytest.mark.parametrize("warm", [False, True], ids=["new connection", "warm connection"])
def test_a_stall_in_the_middle_of_an_answer(
    warm: bool, first: FaultProxy, endpoints: t.List[str], key: str
) -> None:
    """Its beginning has come, and the hedge covers the rest as well."""
    client = Client(endpoints, hedge_delay=HEDGE)
    Client(endpoints[1]).write(key, "x" * 1000)
    if warm:
        assert client.read(key, quorum=True).endpoint == first.url
    first.set_mode("stall")
    with Took() as took:
        result = client.read(key, quorum=True)
    assert took.seconds < HEDGE + SOON
    assert (result.node.value, result.endpoint) == ("x" * 1000, endpoints[1])


def test_a_slow_cluster_does_not_get_more_load(three_proxies: t.List[FaultProxy], key: str) -> None:
    """After the first answer the client knows how long they take, and nobody is at fault."""
    urls = [proxy.url for proxy in three_proxies]
    client = Client(urls, timeout=20.0)
    client.write(key, "x")
    for proxy in three_proxies:
        proxy.set_mode("delay", delay=0.6)
        proxy.forget()
    for unused in range(5):
        assert client.read(key).node.value == "x"
    # One hedge, and what a machine that is very busy may add.
    assert sum(len(proxy.requests) for proxy in three_proxies) <= 7
    time.sleep(1.0)
    assert sorted(client.endpoints()) == sorted(urls)
    assert client.endpoints()[1:] == tuple(url for url in urls if url != client.endpoints()[0])


def test_name_that_does_not_resolve(three: Cluster, key: str) -> None:
    """A host name that is not known is an endpoint like any other that cannot be reached."""
    result = Client(["no-such-host.invalid:2379", three.endpoints[1]]).write(key, "x")
    assert (result.endpoint, result.attempts) == (three.endpoints[1], 2)


def test_slow_resolver(three: Cluster, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the first endpoint takes connect_timeout, and the second one is asked."""
    real, ended = socket.getaddrinfo, threading.Event()

    def slow(host: t.Any, *rest: t.Any) -> t.Any:
        if host == "etcd.slow" and not rest[4] & socket.AI_NUMERICHOST:
            ended.wait(60)
        return real(host, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Took() as took:
        client = Client(["etcd.slow:2379", three.endpoints[1]], connect_timeout=0.5)
        result = client.write(key, "x")
        client = Client(["etcd.slow:2379"], connect_timeout=0.5, total_timeout=1.5)
        with pytest.raises(errors.EtcdUnreachable) as caught:
            client.write(key, "x")
    ended.set()
    assert took.seconds < 2.0 + SOON
    assert (result.endpoint, result.attempts) == (three.endpoints[1], 2)
    assert caught.value.errors == (("http://etcd.slow:2379", "the name was not resolved in time"),)


def test_tls_by_name_on_its_second_address(
    secure: Cluster, pem: Certs, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address refuses, the second one is the server."""
    _resolve(monkeypatch, "localhost", ["127.0.0.9", "127.0.0.1"])
    url = "https://localhost:" + secure.endpoints[0].rpartition(":")[2]
    client = Client(
        url, ca_cert=pem.ca_cert, client_cert=pem.client_cert, client_key=pem.client_key
    )
    assert client.write(key, "x").endpoint == url
    assert client.read(key).attempts == 1


@pytest.mark.parametrize("name, accepted", [("etcd.test", True), ("127.0.0.1", False)])
def test_certificates_are_for_the_name(
    name: str, accepted: bool, tmp_path: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for the address to which the name leads."""
    _resolve(monkeypatch, "etcd.test", ["127.0.0.9", "127.0.0.1"])
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError), server.accept()[0] as sock:
            secured = context.wrap_socket(sock, server_side=True)
            secured.recv(4096)
            body = b'{"errorCode":100,"message":"Key not found","cause":"/k","index":9}'
            secured.sendall(b"HTTP/1.1 404 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        url = "https://etcd.test:%d" % server.getsockname()[1]
        client = Client(url, ca_cert=str(tmp_path / "ca.pem"))
        with pytest.raises(errors.EtcdKeyNotFound if accepted else errors.EtcdTLSFailure):
            client.read("/k")


def _resolve(monkeypatch: pytest.MonkeyPatch, name: str, addresses: t.Sequence[str]) -> None:
    """Have a name lead to these addresses."""
    real = socket.getaddrinfo

    def resolve(host: t.Any, port: t.Any, *rest: t.Any) -> t.Any:
        numeric = len(rest) > 3 and rest[3] & socket.AI_NUMERICHOST
        if host != name or numeric:
            return real(host, port, *rest)
        return [info for one in addresses for info in real(one, port, *rest)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def three_proxies(three: Cluster, proxy_to: ProxyTo) -> t.List[FaultProxy]:
    """A proxy before each node."""
    return [proxy_to(url) for url in three.endpoints]


def test_all_down_read(three_proxies: t.List[FaultProxy], key: str) -> None:
    """The error lists each endpoint with its reason, within the whole budget."""
    urls = [proxy.url for proxy in three_proxies]
    for proxy, mode in zip(three_proxies, ("refuse", "blackhole", "hang")):
        proxy.set_mode(mode)
    client = Client(urls, connect_timeout=1.0, timeout=5.0, total_timeout=2.0)
    with Took() as took, pytest.raises(errors.EtcdUnreachable) as caught:
        client.read(key)
    assert 1.5 < took.seconds < 2.0 + SOON
    assert dict(caught.value.errors) == {
        urls[0]: "connection refused",
        urls[1]: "no connection in time",
        urls[2]: "no answer in time",
    }
    for pair in caught.value.errors:
        assert "%s: %s" % pair in str(caught.value)


def test_all_down_write(three_proxies: t.List[FaultProxy], key: str) -> None:
    """A write is refused by each in turn, and again; none was sent, so its outcome is known."""
    urls = [proxy.url for proxy in three_proxies]
    for proxy, mode in zip(three_proxies, ("blackhole", "blackhole", "refuse")):
        proxy.set_mode(mode)
    with Took() as took, pytest.raises(errors.EtcdUnreachable) as caught:
        Client(urls, connect_timeout=0.5, total_timeout=3.0).write(key, "x")
    assert 2.5 < took.seconds < 3.0 + SOON
    assert [url for url, unused in caught.value.errors] == urls
    assert [why for unused, why in caught.value.errors] == [
        "no connection in time",
        "no connection in time",
        "connection refused",
    ]


def test_total_timeout_cuts_connecting_short(three_proxies: t.List[FaultProxy], key: str) -> None:
    """The whole budget holds, however long each attempt would be allowed to take."""
    urls = [proxy.url for proxy in three_proxies]
    for proxy in three_proxies:
        proxy.set_mode("blackhole")
    with Took() as took, pytest.raises(errors.EtcdTimeout) as caught:
        Client(urls, connect_timeout=10.0, total_timeout=1.0).write(key, "x")
    assert 0.9 < took.seconds < 1.0 + SOON
    assert [url for url, unused in caught.value.errors] == urls
    assert caught.value.errors[2][1] == "not tried, no time was left"


def test_without_failover(first: FaultProxy, endpoints: t.List[str], key: str) -> None:
    """allow_reconnect=False uses the first endpoint only."""
    client = Client(endpoints, allow_reconnect=False, total_timeout=1.0)
    assert client.endpoints() == (first.url,)
    client.write(key, "x")
    first.set_mode("refuse")
    with pytest.raises(errors.EtcdUnreachable) as caught:
        client.read(key)
    assert [url for url, unused in caught.value.errors] == [first.url]


def test_final_answers_are_not_taken_elsewhere(three_proxies: t.List[FaultProxy], key: str) -> None:
    """What the store refuses is refused by one member for all."""
    client = Client([proxy.url for proxy in three_proxies])
    with pytest.raises(errors.EtcdKeyNotFound):
        client.delete(key)
    with pytest.raises(errors.EtcdTestFailed):
        client.write(key, "1")
        client.compare_and_swap(key, "2", prev_value="3")
    assert [len(proxy.requests) for proxy in three_proxies] == [3, 0, 0]


def test_without_quorum(binary: Binary, key: str) -> None:
    """One of three left: local reads work, a write is refused by raft with its outcome unknown."""
    # The server waits 5 s and two election timeouts for the others.
    with Cluster(binary, 3, extra_args=("--election-timeout=500",)) as cluster:
        client = Client(cluster.endpoints, total_timeout=9.0)
        client.write(key, "x")
        survivor = next(one for one in cluster.members if one is not cluster.leader())
        for member in cluster.members:
            if member is not survivor:
                member.kill()
        assert client.read(key).node.value == "x"
        assert client.read(key).endpoint == survivor.endpoint
        assert client.members()
        with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
            client.write(key, "y")
    assert "etcdserver: request timed out" in str(caught.value)
    assert "the cluster has no leader or no quorum" in str(caught.value)
    assert caught.value.endpoint == survivor.endpoint


def test_proxy_settings_of_the_environment_do_not_matter(
    three: Cluster, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They break access to etcd more often than they help, so they are off by default."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:9")
    assert Client(three.endpoints).write(key, "x").attempts == 1
    with pytest.raises(errors.EtcdUnreachable):
        Client(three.endpoints, use_proxy=True, total_timeout=1.0).write(key, "x")


def test_environment_proxy_is_used_on_demand(
    single: Cluster, first: FaultProxy, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With use_proxy the request goes to the proxy, with the whole URL as its target."""
    first.set_mode("error_instead", status=503, body=b"no")
    monkeypatch.setitem(os.environ, "http_proxy", first.url)
    monkeypatch.setitem(os.environ, "no_proxy", "")
    with pytest.raises(errors.EtcdException):
        Client(single.endpoints, use_proxy=True, total_timeout=1.0).read(key)
    assert first.requests[0].target == single.endpoints[0] + "/v2/keys" + key
