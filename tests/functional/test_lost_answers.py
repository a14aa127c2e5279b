# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A write that was sent and whose answer never came is never sent again by the client."""

from __future__ import annotations

import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from conftest import ProxyTo
from harness import Binary, Cluster, FaultProxy
from hostile import Tired

#: Fault -> options of the proxy, and whether the server carried the write out.
FAULTS: t.Dict[str, t.Tuple[t.Dict[str, t.Any], bool]] = {
    "cut-after-forward": ({"mode": "cut_after_forward"}, True),
    "500-after-commit": ({"mode": "error_after_commit", "status": 500}, True),
    "502-after-commit": ({"mode": "error_after_commit", "status": 502, "body": b"Bad"}, True),
    "503-after-commit": ({"mode": "error_after_commit", "status": 503, "body": b""}, True),
    "raft-timeout-after-commit": (
        {
            "mode": "error_after_commit",
            "status": 500,
            "body": b'{"errorCode":300,"message":"Raft Internal Error",'
            b'"cause":"etcdserver: request timed out","index":5}',
        },
        True,
    ),
    "html-after-commit": (
        {"mode": "error_after_commit", "status": 200, "body": b"<html>welcome</html>"},
        True,
    ),
    "nothing-after-commit": ({"mode": "error_after_commit", "status": 200, "body": b""}, True),
    "truncated": ({"mode": "truncate"}, True),
    "cut-before-forward": ({"mode": "cut_before_forward"}, False),
    "reset": ({"mode": "reset"}, False),
    "garbage": ({"mode": "garbage"}, False),
    "hang": ({"mode": "hang"}, False),
}

#: Verb -> a write of that verb, and whether it can be seen in the store.
WRITES: t.Dict[str, t.Callable[[Client, str], t.Any]] = {
    "PUT": lambda client, key: client.write(key + "/new", "x"),
    "POST": lambda client, key: client.create_in_order(key + "/queue", "x"),
    "DELETE": lambda client, key: client.delete(key + "/old"),
}


@pytest.fixture
def proxies(three: Cluster, proxy_to: ProxyTo) -> t.List[FaultProxy]:
    """Proxies before two nodes of one cluster; only the first will ever be faulty."""
    return [proxy_to(url) for url in three.endpoints[:2]]


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("fault", FAULTS)
def test_write(
    fault: str, verb: str, three: Cluster, proxies: t.List[FaultProxy], key: str
) -> None:
    """The outcome is unknown, and exactly one request was sent, to one endpoint."""
    options, carried_out = FAULTS[fault]
    observer = Client(three.endpoints[2])
    observer.write(key + "/old", "x")
    proxies[0].set_mode(match=verb, **options)
    client = Client([proxy.url for proxy in proxies], timeout=0.4)
    with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
        WRITES[verb](client, key)
    assert [seen.method for proxy in proxies for seen in proxy.requests] == [verb]
    assert caught.value.endpoint == proxies[0].url
    assert "%s /v2/keys%s" % (verb, key) in str(caught.value)
    assert "may or may not" in str(caught.value)
    assert _was_carried_out(observer, verb, key) is carried_out
    # The next write goes to the other one.
    result = client.write(key + "/next", "x")
    assert (result.endpoint, result.attempts) == (proxies[1].url, 1)


def _was_carried_out(observer: Client, verb: str, key: str) -> bool:
    node = observer.read(key, recursive=True, quorum=True).node
    names = [one.key for one in node.nodes]
    if verb == "DELETE":
        return key + "/old" not in names
    return key + ("/new" if verb == "PUT" else "/queue") in names


@pytest.mark.parametrize("fault", FAULTS)
def test_read(fault: str, three: Cluster, proxies: t.List[FaultProxy], key: str) -> None:
    """A read in the same trouble is answered by the other endpoint."""
    Client(three.endpoints[2]).write(key, "x")
    proxies[0].set_mode(match="GET", **FAULTS[fault][0])
    client = Client([proxy.url for proxy in proxies], timeout=8.0)
    started = time.monotonic()
    result = client.read(key, quorum=True)
    assert time.monotonic() - started < 4.0
    assert result.node.value == "x"
    assert (result.endpoint, result.attempts) == (proxies[1].url, 2)


@pytest.mark.parametrize("fault", ["cut-after-forward", "500-after-commit", "reset"])
def test_read_from_the_only_endpoint(
    fault: str, single: Cluster, proxy_to: ProxyTo, key: str
) -> None:
    """With one endpoint, trouble that may pass is waited for until total_timeout is over."""
    proxy = proxy_to(single.endpoints[0])
    client = Client(proxy.url, total_timeout=2.0)
    client.write(key, "x")
    proxy.forget()
    proxy.set_mode(times=1, **FAULTS[fault][0])
    assert client.read(key).node.value == "x"
    assert len(proxy.requests) == 2
    proxy.forget()
    proxy.set_mode(**FAULTS[fault][0])
    with pytest.raises(errors.EtcdException) as caught:
        client.read(key)
    assert len(proxy.requests) > 2
    assert proxy.url in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("verb", WRITES)
def test_redirect_is_never_followed(
    verb: str, status: int, three: Cluster, proxies: t.List[FaultProxy], key: str
) -> None:
    """An HTTP library would follow it, drop the body and store an empty value."""
    observer = Client(three.endpoints[2])
    index = observer.write(key + "/old", "x").x_etcd_index
    proxies[0].set_mode("redirect", status=status)
    client = Client([proxy.url for proxy in proxies])
    with pytest.raises(errors.EtcdInvalidResponse) as caught:
        WRITES[verb](client, key)
    assert caught.value.http_status == status
    assert "redirect to " + three.endpoints[0] in str(caught.value)
    assert [seen.method for proxy in proxies for seen in proxy.requests] == [verb]
    assert observer.read(key, quorum=True).x_etcd_index == index


def test_redirect_of_a_read_is_not_followed_either(proxies: t.List[FaultProxy], key: str) -> None:
    """It comes for keys that the client never sends, or from something that is no etcd."""
    proxies[0].set_mode("redirect", status=301)
    with pytest.raises(errors.EtcdInvalidResponse):
        Client(proxies[0].url).read(key)
    assert len(proxies[0].requests) == 1


def test_kept_connection_that_the_server_closed(
    three: Cluster, proxies: t.List[FaultProxy], key: str
) -> None:
    """A write over a connection that went away while idle is sent over a new one."""
    client = Client([proxies[0].url])
    client.write(key, "1")
    proxies[0].set_mode("refuse")  # Closes what is open.
    proxies[0].set_mode("pass")
    time.sleep(0.1)
    assert client.write(key, "2").attempts == 1
    assert Client(three.endpoints[2]).read(key, quorum=True).node.value == "2"


def test_answer_that_drips(proxies: t.List[FaultProxy], key: str) -> None:
    """`timeout` is for silence: an answer of which something comes all the time is waited for.

    A read is answered by the other endpoint meanwhile.
    """
    Client(proxies[1].url).write(key, "x")
    proxies[0].set_mode("drip", delay=0.002)
    client = Client([proxy.url for proxy in proxies], timeout=0.3)
    result = client.read(key)
    assert (result.endpoint, result.attempts) == (proxies[1].url, 2)
    started = time.monotonic()
    written = Client(proxies[0].url, timeout=0.3).write(key, "y")
    assert time.monotonic() - started > 0.6
    assert (written.node.value, written.attempts) == ("y", 1)


def test_answer_that_drips_without_end(
    three: Cluster, proxies: t.List[FaultProxy], key: str
) -> None:
    """The whole budget of the operation ends that, as soon as the head of the answer is there."""
    observer = Client(three.endpoints[2])
    observer.write(key, "x" * 4000)
    proxies[0].set_mode("drip", delay=0.002)
    client = Client(proxies[0].url, total_timeout=0.3)
    started = time.monotonic()
    with pytest.raises(errors.EtcdTimeout):
        client.read(key)
    assert time.monotonic() - started < 4000 * 0.002
    with pytest.raises(errors.EtcdOutcomeUnknown):
        client.write(key, "y")
    assert observer.read(key, quorum=True).node.value == "y"


def test_late_write_is_not_sent_twice(
    three: Cluster, proxies: t.List[FaultProxy], key: str
) -> None:
    """A stalled server that carries a write out after the client has given up does so once."""
    observer = Client(three.endpoints[2])
    proxies[0].set_mode("delay", match="POST", delay=1.0)
    with pytest.raises(errors.EtcdOutcomeUnknown):
        Client([proxy.url for proxy in proxies], timeout=0.3).create_in_order(key, "x")
    with pytest.raises(errors.EtcdKeyNotFound):
        observer.read(key, quorum=True)
    time.sleep(1.2)
    assert len(observer.read(key, quorum=True).node.nodes) == 1


def test_a_connection_that_is_closed_while_it_is_idle(
    binary: Binary, single: Cluster, client: Client, key: str
) -> None:
    """What nobody could resolve afterwards goes over a fresh connection, and is carried out once."""
    client.mkdir(key + "/gone")
    client.mkdir(key + "/kept")
    with Tired(single.endpoints[0]) as server:
        tired = Client(server.url)
        tired.read("/")
        with pytest.raises(errors.EtcdOutcomeUnknown):
            tired.write(key + "/x", "y")
        for operation in (
            lambda: tired.create_in_order(key + "/queue", "v"),
            lambda: tired.write(key + "/plain", "v", fresh_connection=True),
            lambda: tired.delete(key + "/plain", fresh_connection=True),
            lambda: tired.rmdir(key + "/gone"),
            lambda: tired.create_role(key[1:]),
            lambda: tired.delete_role(key[1:]),
            lambda: tired.update_dir_ttl(key + "/kept", 100),
        ):
            tired.read("/")
            try:
                operation()
            except errors.EtcdRaftInternal:
                # The store of 3.5 cannot do the last one, and says so in an answer.
                assert binary.version.startswith("3.5")
    assert len(client.read(key + "/queue").node.nodes) == 1
    with pytest.raises(errors.EtcdKeyNotFound):
        client.read(key + "/gone")
