# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members, leader, statistics, versions and health of real clusters."""

from __future__ import annotations

import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Binary, Cluster, ports

T = t.TypeVar("T")


def _when_allowed(call: t.Callable[[], T]) -> T:
    """A membership change, which the server refuses for a while after anything has happened."""
    deadline = time.monotonic() + 30.0
    while True:
        try:
            return call()
        except errors.EtcdReconfigurationRefused:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.3)


def test_add_start_update_and_remove(own_three: Cluster) -> None:
    """The life of a fourth member, with every error that is promised."""
    client = Client(own_three.endpoints)
    url, other_url = own_three.new_peer_url(), own_three.new_peer_url()
    before = client.members()
    assert sorted(one.name for one in before) == ["m1", "m2", "m3"]
    assert all(one.started for one in before)
    added = _when_allowed(lambda: client.add_member(url))
    assert added.name == ""
    new = next(one for one in client.members() if one.id == added.id)
    assert (new.name, new.started, new.peer_urls, new.client_urls) == ("", False, (url,), ())
    with pytest.raises(errors.EtcdMemberError):
        client.add_member([url])

    initial = {one.name: one.peer_urls[0] for one in before}
    initial["m4"] = url
    process = own_three.add_member_process(
        "m4", url, ",".join("%s=%s" % pair for pair in initial.items())
    )
    new = next(one for one in client.members() if one.id == added.id)
    assert (new.name, new.started, new.client_urls) == ("m4", True, (process.endpoint,))

    with pytest.raises(errors.EtcdMemberExists):
        _when_allowed(lambda: client.add_member([url]))
    with pytest.raises(errors.EtcdMemberExists):
        _when_allowed(lambda: client.update_member(added.id, before[0].peer_urls))
    with pytest.raises(errors.EtcdMemberNotFound):
        _when_allowed(lambda: client.update_member("1234", [other_url]))
    with pytest.raises(errors.EtcdMemberNotFound):
        client.remove_member("1234")
    with pytest.raises(errors.EtcdMemberNotFound):
        client.remove_member("no-hex")
    for wrong in (url + "/", url + "/path", "http://127.0.0.1", "ftp://127.0.0.1:1", "nonsense"):
        with pytest.raises(errors.EtcdRefused) as caught:
            client.add_member([wrong])
        assert caught.value.http_status == 400

    assert _when_allowed(lambda: client.update_member(added.id, [other_url])) is None
    new = next(one for one in client.members() if one.id == added.id)
    assert new.peer_urls == (other_url,)
    time.sleep(0.5)
    assert _when_allowed(lambda: client.remove_member(added.id)) is None
    assert added.id not in [one.id for one in client.members()]
    with pytest.raises(errors.EtcdMemberRemoved):
        client.remove_member(added.id)
    with pytest.raises(errors.EtcdReconfigurationRefused):
        client.update_member(added.id, [url])

    follower = next(one for one in own_three.members[:3] if one is not own_three.leader())
    follower.kill()
    # The leader refuses once it has seen the connection end, which takes a moment.
    time.sleep(1.0)
    alive = next(one for one in client.members() if one.name not in (follower.name, "m4"))
    with pytest.raises(errors.EtcdReconfigurationRefused):
        client.remove_member(alive.id)
    assert len(client.members()) == 3


def test_leader(own_three: Cluster) -> None:
    """From any endpoint; a new one when it is killed; an error when there cannot be one."""
    client = Client(own_three.endpoints)
    leader = own_three.leader()
    for url in own_three.endpoints:
        assert Client(url).leader().name == leader.name
    assert client.leader().client_urls == (leader.endpoint,)
    leader.kill()
    rest = [one for one in own_three.members if one is not leader]
    second = _until(lambda: client.leader().name, {one.name for one in rest})
    next(one for one in rest if one.name == second).kill()
    deadline = time.monotonic() + 15.0
    hasty = Client(own_three.endpoints, total_timeout=1.0)
    with pytest.raises(errors.EtcdNoLeader):
        while time.monotonic() < deadline:
            assert hasty.leader().name == second
            time.sleep(0.1)


def _until(call: t.Callable[[], T], wanted: t.Collection[T]) -> T:
    deadline = time.monotonic() + 15.0
    while True:
        try:
            found = call()
        except errors.EtcdServerError:
            found = None
        if found in wanted:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_health(own_three: Cluster) -> None:
    """Healthy, stopped, dead, and alive without a quorum are all told apart."""
    urls = own_three.endpoints
    client = Client(urls, timeout=1.5, total_timeout=3.0)
    survivor = own_three.members[0]
    assert client.health is True
    assert all(client.health_of(url).health is True for url in urls)
    own_three.members[1].pause()
    with pytest.raises(errors.EtcdTimeout):
        client.health_of(urls[1])
    own_three.members[2].kill()
    with pytest.raises(errors.EtcdUnreachable) as caught:
        client.health_of(urls[2])
    assert caught.value.errors == ((urls[2], "connection refused"),)
    deadline = time.monotonic() + 15.0
    while True:
        result = Client(urls, timeout=5.0).health_of(survivor.endpoint)
        if result.health is not True:
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert result.health is False
    if own_three.binary.version.startswith("3.5."):
        assert result.body["reason"]
    assert client.health is False
    survivor.kill()
    assert client.health is False


def test_versions(three: Cluster, binary: Binary) -> None:
    """Of the server and of the cluster; any endpoint knows them."""
    client = Client(three.endpoints)
    assert client.version() == client.version_server() == binary.version
    assert client.version_cluster() == ".".join(binary.version.split(".")[:2] + ["0"])
    with pytest.raises(errors.EtcdUnreachable):
        Client("127.0.0.1:%d" % ports.free_port(), total_timeout=1.0).version()


def test_statistics(three: Cluster, key: str) -> None:
    """Of a member, of the leader wherever it is in the list, and of the store."""
    leader = three.leader()
    urls = sorted(three.endpoints, key=lambda url: url == leader.endpoint)
    client = Client(urls)
    assert client.stats_self().state == "StateFollower"
    assert client.stats_self().name in ("m1", "m2", "m3")
    found = client.stats_leader()
    assert found.endpoint == leader.endpoint
    assert found.leader == client.leader().id
    assert len(found.followers) == 2
    with pytest.raises(errors.EtcdNotLeader) as caught:
        Client(urls[:2]).stats_leader()
    assert caught.value.http_status == 403
    single = Client(urls[0])
    before = single.stats_store().body
    single.write(key, "x")
    assert single.stats_store().body["setsSuccess"] == before["setsSuccess"] + 1


def test_statistics_with_a_dead_endpoint_in_the_list(own_three: Cluster) -> None:
    """A dead endpoint does not hide the leader; without the leader, that is what is said."""
    leader = own_three.leader()
    dead = next(one for one in own_three.members if one is not leader)
    dead.kill()
    client = Client([dead.endpoint, leader.endpoint])
    assert client.stats_leader().endpoint == leader.endpoint
    other = next(one for one in own_three.members if one not in (leader, dead))
    with pytest.raises(errors.EtcdNotLeader):
        Client([dead.endpoint, other.endpoint]).stats_leader()


def test_members_without_quorum(own_three: Cluster) -> None:
    """The list is what one member remembers, also alone."""
    client = Client(own_three.endpoints)
    members = client.members()
    own_three.members[0].kill()
    own_three.members[1].kill()
    assert sorted(client.members()) == sorted(members)
