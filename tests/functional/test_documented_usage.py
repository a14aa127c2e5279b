# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The usage that the pyetcd documentation shows runs with nothing but its import line changed."""

from __future__ import annotations

import threading
import typing as t
from urllib.parse import urlsplit

import dns.resolver
import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Binary, Cluster
from harness.dnsserver import DnsServer, Srv

CODES = {
    "EtcdKeyNotFound": 100,
    "EtcdTestFailed": 101,
    "EtcdNotFile": 102,
    "EtcdNoMorePeer": 103,
    "EtcdNotDir": 104,
    "EtcdNodeExist": 105,
    "EtcdKeyIsPreserved": 106,
    "EtcdRootROnly": 107,
    "EtcdDirNotEmpty": 108,
    "EtcdExistingPeerAddr": 109,
    "EtcdUnauthorized": 110,
    "EtcdValueRequired": 200,
    "EtcdPrevValueRequired": 201,
    "EtcdTTLNaN": 202,
    "EtcdIndexNaN": 203,
    "EtcdValueOrTTLRequired": 204,
    "EtcdTimeoutNaN": 205,
    "EtcdNameRequired": 206,
    "EtcdIndexOrValueRequired": 207,
    "EtcdIndexValueMutex": 208,
    "EtcdInvalidField": 209,
    "EtcdInvalidForm": 210,
    "EtcdRefreshValue": 211,
    "EtcdRefreshTTLRequired": 212,
    "EtcdRaftInternal": 300,
    "EtcdLeaderElect": 301,
    "EtcdWatcherCleared": 400,
    "EtcdEventIndexCleared": 401,
    "EtcdStandbyInternal": 402,
    "EtcdInvalidActiveSize": 403,
    "EtcdInvalidRemoveDelay": 404,
    "EtcdClientInternal": 500,
}

RESULT_ATTRIBUTES = {
    "action": "action",
    "node": "node",
    "prevNode": "prev_node",
    "x_etcd_index": "x_etcd_index",
    "version_etcdserver": "version_etcdserver",
    "version_etcdcluster": "version_etcdcluster",
    "health": "health",
    "id": "id",
    "name": "name",
    "leader": "leader",
    "leaderInfo": "leader_info",
    "followers": "followers",
    "state": "state",
    "startTime": "start_time",
    "recvAppendRequestCnt": "recv_append_request_cnt",
    "sendAppendRequestCnt": "send_append_request_cnt",
}


def _hosts(cluster: Cluster) -> t.List[t.Tuple[str, int]]:
    parts = [urlsplit(url) for url in cluster.endpoints]
    return [(str(one.hostname), int(one.port or 0)) for one in parts]


@pytest.fixture(params=["strings", "pairs"])
def three_hosts(request: pytest.FixtureRequest, three: Cluster) -> t.Any:
    """The three hosts, as the list that the documentation shows and as pairs with ports."""
    if request.param == "pairs":
        return _hosts(three)
    return ["%s:%d" % pair for pair in _hosts(three)]


def test_first_steps(single: Cluster, key: str) -> None:
    """The first example: a client of one host writes and reads."""
    host, port = _hosts(single)[0]
    client = Client(host, port)
    client.write(key, "Hello world")
    response = client.read(key)
    assert response.node["value"] == "Hello world"


def test_keywords_of_the_constructor(single: Cluster, key: str) -> None:
    """Every documented keyword is taken."""
    host, port = _hosts(single)[0]
    client = Client(
        host=host, port=port, version_prefix="v2", allow_reconnect=True, protocol="http"
    )
    assert client.write(key, "x").node["key"] == key


def test_three_hosts(three_hosts: t.Any, key: str) -> None:
    """The second example: a list of hosts, in the first place."""
    client = Client(three_hosts)
    client.write(key, "Hello world")
    assert client.read(key, quorum=True).node["value"] == "Hello world"


def test_wait(three_hosts: t.Any, key: str) -> None:
    """The third example: a read that blocks until the key changes."""
    client = Client(three_hosts)
    client.write(key, "before")
    response: t.List[t.Any] = []
    waiting = threading.Thread(target=lambda: response.append(client.read(key, wait=True)))
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    Client(three_hosts).write(key, "after")
    waiting.join(10)
    assert response[0].node["value"] == "after"


def test_discovery_by_domain(single: Cluster, key: str) -> None:
    """srv_domain works (the documented library raised NotImplementedError)."""
    unused, port = _hosts(single)[0]
    with DnsServer({"_etcd-client._tcp.etcd.test": [Srv(0, 0, port, "localhost.")]}) as server:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [server.host], server.port
        client = Client(srv_domain="etcd.test", resolver=resolver)
        assert client.write(key, "found").endpoint == "http://localhost:%d" % port


def test_operations_on_keys(client: Client, key: str) -> None:
    """write, read, delete, with their options and results."""
    result = client.write(key + "/a", "1", ttl=100)
    assert (result.action, result.node["ttl"], result.prevNode) == ("set", 100, None)
    result = client.write(key + "/a", "2")
    assert result.prevNode["value"] == result.prev_node.value == "1"
    assert result.x_etcd_index == result.node["modifiedIndex"] == result.node.modified_index
    index = result.node["modifiedIndex"]
    assert client.read(key + "/a", quorum=True).node["value"] == "2"
    assert client.read(key + "/a", wait=True, waitIndex=index).node["value"] == "2"
    client.write(key + "/c/d", "4")
    client.write(key + "/b", "3")
    listing = client.read(key, recursive=True, sorted=True)
    assert [node["key"] for node in listing.node["nodes"]] == [key + "/a", key + "/b", key + "/c"]
    assert listing.node.nodes[2].nodes[0].value == "4"
    assert client.delete(key + "/a").action == "delete"
    with pytest.raises(errors.EtcdKeyNotFound):
        client.read(key + "/a")
    with pytest.raises(errors.EtcdKeyNotFound):
        client.delete(key + "/a")


def test_operations_on_directories(client: Client, key: str) -> None:
    """mkdir and rmdir, with what they raise."""
    assert client.mkdir(key).node["dir"] is True
    with pytest.raises(errors.EtcdNodeExist):
        client.mkdir(key)
    client.write(key + "/a", "1")
    with pytest.raises(errors.EtcdNotFile):
        client.write(key, "1")
    with pytest.raises(errors.EtcdNotDir):
        client.write(key + "/a/b", "1")
    with pytest.raises(errors.EtcdDirNotEmpty):
        client.rmdir(key)
    assert client.rmdir(key, recursive=True).action == "delete"
    with pytest.raises(errors.EtcdKeyNotFound):
        client.rmdir(key)
    with pytest.raises(errors.EtcdRootROnly):
        client.write("/", "1")


def test_compare_and_swap(client: Client, key: str) -> None:
    """All the conditions that are given hold together."""
    client.write(key, "1")
    index = client.read(key).node["modifiedIndex"]
    with pytest.raises(errors.EtcdNodeExist):
        client.compare_and_swap(key, "2", prev_exist=False)
    for wrong in (
        {"prev_value": "other"},
        {"prev_index": index + 1},
        {"prev_value": "1", "prev_index": index + 1},
        {"prev_value": "other", "prev_index": index},
        {"prev_value": "other", "prev_exist": True},
    ):
        with pytest.raises(errors.EtcdTestFailed):
            client.compare_and_swap(key, "2", **wrong)
    result = client.compare_and_swap(
        key, "2", prev_value="1", prev_index=index, prev_exist=True, ttl=50
    )
    assert (result.action, result.node["ttl"]) == ("compareAndSwap", 50)
    assert client.read(key).node["value"] == "2"
    with pytest.raises(errors.EtcdKeyNotFound):
        client.compare_and_swap(key + "-missing", "2", prev_exist=True)


def test_compare_and_delete(client: Client, key: str) -> None:
    """The same for deletion."""
    index = client.write(key, "1").node["modifiedIndex"]
    for wrong in (
        {"prev_value": "other"},
        {"prev_index": index + 1},
        {"prev_value": "1", "prev_index": index + 1},
        {"prev_value": "other", "prev_index": index},
    ):
        with pytest.raises(errors.EtcdTestFailed):
            client.compare_and_delete(key, **wrong)
    result = client.compare_and_delete(key, prev_value="1", prev_index=index)
    assert result.action == "compareAndDelete"
    with pytest.raises(errors.EtcdKeyNotFound):
        client.read(key)


def test_update_ttl(client: Client, key: str) -> None:
    """The TTL changes and the value stays."""
    index = client.write(key, "kept").node["modifiedIndex"]
    assert client.update_ttl(key, 70).node["ttl"] == 70
    assert client.read(key).node["value"] == "kept"
    with pytest.raises(errors.EtcdTestFailed):
        client.update_ttl(key, 71, prev_index=index)
    with pytest.raises(errors.EtcdKeyNotFound):
        client.update_ttl(key + "-missing", 70)


def test_versions_and_health(client: Client, binary: Binary) -> None:
    """version, version_server, version_cluster and health."""
    assert client.version() == client.version_server() == binary.version
    assert client.version_cluster() == binary.version.rpartition(".")[0] + ".0"
    assert client.health is True


def test_add_member(own_single: Cluster) -> None:
    """add_member gives id and name. (What remove_member does, test_members.py shows.)"""
    client = Client(own_single.endpoints)
    result = client.add_member([own_single.new_peer_url()])
    assert (result.id, result.name) in [(one.id, one.name) for one in client.members()]


def test_result_attributes(three: Cluster, key: str) -> None:
    """Each documented attribute of a result exists, in snake case too; None where it has no use."""
    client = Client(three.endpoints)
    client.write(key, "0")
    written = client.write(key, "1")
    for camel, snake in RESULT_ATTRIBUTES.items():
        assert getattr(written, camel) == getattr(written, snake)
    assert written.prevNode["value"] == "0"
    assert written.leaderInfo is written.health is written.id is None
    statistics = client.stats_self()
    for name in ("id", "name", "leaderInfo", "state", "startTime"):
        assert getattr(statistics, name)
    assert statistics.leader_info["leader"] == client.stats_leader().leader
    assert len(client.stats_leader().followers) == 2
    assert isinstance(statistics.recvAppendRequestCnt, int)
    assert isinstance(statistics.send_append_request_cnt, int)
    with pytest.raises(AttributeError):
        statistics.no_such_thing  # pylint: disable=pointless-statement


@pytest.mark.parametrize("name", CODES)
def test_exceptions(name: str) -> None:
    """Each documented exception exists, with its code, below EtcdException."""
    cls = getattr(errors, name)
    assert issubclass(cls, errors.EtcdException)
    assert cls.code == CODES[name]
    assert errors.BY_CODE[CODES[name]] is cls


def test_exceptions_without_a_code() -> None:
    """The three others of the documentation."""
    assert issubclass(errors.EtcdEmptyResponse, errors.EtcdInvalidResponse)
    assert issubclass(errors.EtcdInvalidResponse, errors.EtcdException)
    assert not issubclass(errors.ClientException, errors.EtcdException)
    assert len(errors.BY_CODE) == len(CODES)


@pytest.mark.parametrize(
    "arguments",
    [
        {"host": []},
        {"host": "127.0.0.1/path"},
        {"host": "user:secret@127.0.0.1"},
        {"host": "ftp://127.0.0.1"},
        {"host": [("127.0.0.1", "http")]},
        {"port": "x"},
        {"protocol": "gopher"},
        {"host": "127.0.0.1", "srv_domain": "etcd.test"},
        {"client_cert": "/nowhere"},
        {"password": "secret"},
        {"timeout": 0},
    ],
    ids=str,
)
def test_wrong_arguments(arguments: t.Dict[str, t.Any]) -> None:
    """A wrong argument raises ClientException, which never shows a password."""
    with pytest.raises(errors.ClientException) as caught:
        Client(**arguments)
    assert "secret" not in str(caught.value)
