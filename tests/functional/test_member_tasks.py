# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules do about members, on real clusters that grow, shrink, move and mix."""

from __future__ import annotations

import os
import shutil
import time
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.info import gather_info
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.member import manage_member
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client
from harness import Binary, Certs, Cluster, FaultProxy, Member, Tls
from harness.binaries import version_key

Report = t.Dict[str, t.Any]

_OPTIONS: t.Dict[str, t.Any] = {
    "name": None,
    "id": None,
    "peer_urls": None,
    "state": "present",
    "force": False,
    "wait": False,
    "retry_timeout": 30.0,
    "wait_timeout": 30.0,
}


def _manage(client: Client, **options: t.Any) -> Report:
    return manage_member(dict(_OPTIONS, **options), lambda: client, apply=True)


def _would(client: Client, **options: t.Any) -> Report:
    return manage_member(dict(_OPTIONS, **options), lambda: client, apply=False)


def _info(client: Client) -> Report:
    gather = ["version", "health", "members", "leader"]
    return gather_info({"gather": gather}, lambda: client, apply=True)


def _start(cluster: Cluster, added: Report, **how: t.Any) -> Member:
    """Start the server of a member with what the task that added it returned."""
    environment = added["environment"]
    return cluster.add_member_process(
        environment["ETCD_NAME"],
        environment["ETCD_INITIAL_ADVERTISE_PEER_URLS"],
        environment["ETCD_INITIAL_CLUSTER"],
        wait=False,
        **how,
    )


def _grow(cluster: Cluster, client: Client, name: str, **how: t.Any) -> Report:
    """Add a member, start it and wait for it, all through the module; what it returns of it."""
    url = cluster.new_peer_url()
    added = _manage(client, name=name, peer_urls=[url])
    assert (added["changed"], added["action"]) == (True, "add")
    assert not _manage(client, name=name, peer_urls=[url])["changed"]
    _start(cluster, added, **how)
    waited = _manage(client, name=name, peer_urls=[url], wait=True)
    assert not waited["changed"]
    assert waited["member"]["started"]
    assert waited["member"]["id"] == added["member"]["id"]
    found: Report = waited["member"]
    return found


def _remove(cluster: Cluster, client: Client, name: str) -> Member:
    """Remove a member through the module; its server ends by itself."""
    removed = _manage(client, name=name, state="absent")
    assert (removed["changed"], removed["action"]) == (True, "remove")
    assert name not in [one["name"] for one in removed["members"]]
    assert not _manage(client, name=name, state="absent")["changed"]
    member = cluster.member(name)
    member.wait_ended()
    cluster.members.remove(member)
    return member


@pytest.fixture(scope="module")
def changing(binary: Binary) -> t.Iterator[Cluster]:
    """Three nodes for all tests here: each leaves three that are healthy, and may be others.

    The servers refuse changes for some seconds after they have met, which one cluster costs once.
    """
    with Cluster(binary, size=3) as cluster:
        yield cluster


class Noting(Client):
    """Remembers what the server refused."""

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__(*arguments)
        self.refused: t.List[t.Type[errors.EtcdException]] = []

    def add_member(self, peer_urls: t.Any) -> t.Any:
        return self._noting(lambda: super(Noting, self).add_member(peer_urls))

    def update_member(self, member_id: str, peer_urls: t.Any) -> None:
        self._noting(lambda: super(Noting, self).update_member(member_id, peer_urls))

    def remove_member(self, member_id: str) -> None:
        self._noting(lambda: super(Noting, self).remove_member(member_id))

    def _noting(self, change: t.Callable[[], t.Any]) -> t.Any:
        try:
            return change()
        except errors.EtcdException as exc:
            self.refused.append(type(exc))
            raise


def _why_refused(client: Client, **options: t.Any) -> str:
    """What the module says when the server refuses and there is no time to try again."""
    with pytest.raises(errors.EtcdReconfigurationRefused) as caught:
        _manage(client, retry_timeout=0.0, **options)
    return str(caught.value)


def _needs_all_connected(cluster: Cluster) -> bool:
    """Whether the server adds a member only while all others are connected.

    Measured: 3.4.23, 3.5.1 and 3.5.16 do, 3.5.30 is content with a majority.
    """
    return version_key(cluster.binary.version) < (3, 5, 30)


def test_refusals_without_a_reason(changing: Cluster) -> None:
    """A peer down, members that have just met, one that has not started, one just removed.

    The server's answer is the same 500 each time; the module names the reason, and tries again.
    (This test comes first, because these members have not been connected for five seconds.)
    """
    client = Noting(changing.endpoints)
    url, other_url = changing.new_peer_url(), changing.new_peer_url()
    follower = next(one for one in changing.members if one is not changing.leader())
    follower.kill()
    says = _why_refused(client, name="m4", peer_urls=[url], force=True)
    assert "the member %s is not healthy" % follower.name in says
    follower.start()
    changing.wait_healthy()
    says = _why_refused(client, name="m4", peer_urls=[url])
    assert "connected for less than 5 seconds" in says
    assert len(client.members()) == 3
    client.refused.clear()
    added = _manage(client, name="m4", peer_urls=[url])
    assert added["changed"]
    assert set(client.refused) == {errors.EtcdReconfigurationRefused}
    new_id = added["member"]["id"]

    info = _info(client)
    assert info["quorum"] == {"size": 4, "needed": 3, "healthy": 3}
    waiting = next(one for one in info["members"] if one["id"] == new_id)
    assert (waiting["name"], waiting["started"], waiting["healthy"]) == ("", False, None)
    if _needs_all_connected(changing):
        says = _why_refused(client, name="m5", peer_urls=[other_url])
        assert "the member %s was added and has not started" % new_id in says
    else:
        # Of these five members three are healthy, which is a majority.
        assert _manage(client, name="m5", peer_urls=[other_url])["changed"]
        assert _manage(client, peer_urls=[other_url], state="absent")["changed"]
    assert _manage(client, peer_urls=[url], state="absent")["changed"]

    # An id is made of the URLs and the second, and one that was removed is never used again.
    client.refused.clear()
    for attempt in range(8):
        time.sleep(1 - time.time() % 1)
        ids = []
        for unused in range(2):
            ids.append(_manage(client, peer_urls=[url])["member"]["id"])
            assert _manage(client, peer_urls=[url], state="absent")["changed"]
        assert ids[0] != ids[1], attempt
        if client.refused:
            break
    assert set(client.refused) == {errors.EtcdReconfigurationRefused}
    assert sorted(one.name for one in client.members()) == ["m1", "m2", "m3"]


def test_which_member_is_meant(changing: Cluster) -> None:
    """All that is given must mean the same one: its peer URLs, its name, its id, which is a number."""
    client = Client(changing.endpoints)
    # The list is a local answer; a quorum read makes sure that whoever answers has caught up.
    client.read("/", quorum=True)
    one, two, three = sorted(client.members(), key=lambda member: member.name)
    for found, options in (
        (one, {"peer_urls": one.peer_urls, "name": one.name, "id": one.id}),
        (two, {"name": two.name}),
        (three, {"name": three.name, "id": "0" + three.id.upper()}),
    ):
        report = _manage(client, **options)
        assert (report["changed"], report["member"]["id"]) == (False, found.id)
        assert report["member"]["id_decimal"] == str(int(found.id, 16))
        gone = _would(client, state="absent", **options)
        assert (gone["changed"], gone["member"]["id"]) == (True, found.id)
    for options in (
        {"peer_urls": one.peer_urls, "name": two.name},
        {"peer_urls": one.peer_urls, "id": three.id},
        {"name": two.name, "id": three.id},
        {"name": "nobody", "id": three.id},
        {"name": one.name, "id": "1234"},
    ):
        for state in ("present", "absent"):
            with pytest.raises(Refusal) as caught:
                _manage(client, state=state, **options)
            assert "it is not clear which member is meant" in str(caught.value)
    assert sorted(client.members(), key=lambda member: member.name) == [one, two, three]


def test_two_members_of_one_name(binary: Binary) -> None:
    """In the middle of a replacement: the healthy one is not removed for the dead one."""
    with Cluster(binary, size=3) as cluster:
        client = Client(cluster.endpoints)
        url = cluster.new_peer_url()
        added = _manage(client, peer_urls=[url])
        # The servers compare URLs only: the names of the others in its configuration are free.
        others = added["initial_cluster"].replace(added["member"]["id"] + "=", "m1=")
        others = others.replace(
            "m1=" + cluster.members[0].peer_url, "old=" + cluster.members[0].peer_url
        )
        dead, new = cluster.members[0], None
        dead.kill()
        data = dead.data_dir
        shutil.rmtree(data)
        new = cluster.add_member_process("m1", url, others, wait=False)
        waited = _manage(Client(cluster.endpoints[1:]), id=added["member"]["id"], wait=True)
        assert (waited["member"]["name"], new.name) == ("m1", "m1")
        client = Client(cluster.endpoints[1:])
        two = [one for one in client.members() if one.name == "m1"]
        assert len(two) == 2
        for state in ("present", "absent"):
            with pytest.raises(Refusal) as caught:
                _manage(client, name="m1", state=state)
            assert all(one.id in str(caught.value) for one in two)
        removed = _manage(client, name="m1", peer_urls=[dead.peer_url], state="absent")
        assert (removed["changed"], removed["member"]["id"]) == (
            True,
            [one.id for one in two if one.id != added["member"]["id"]][0],
        )
        assert [one.id for one in client.members() if one.name == "m1"] == [added["member"]["id"]]
        # Once more, the URLs of the dead one are nobody's, and the name is that of the other.
        with pytest.raises(Refusal):
            _manage(client, name="m1", peer_urls=[dead.peer_url], state="absent")
        cluster.members.remove(dead)


def test_other_peer_urls_of_a_healthy_member_are_guarded(binary: Binary) -> None:
    """With one of three down, moving another would leave no quorum until it has moved."""
    with Cluster(binary, size=3) as cluster:
        client = Client(cluster.endpoints)
        url = cluster.new_peer_url()
        assert _would(client, name="m2", peer_urls=[url])["action"] == "update"
        cluster.member("m3").kill()
        cluster.wait_healthy()
        client = Client(cluster.endpoints)
        with pytest.raises(Refusal) as caught:
            _manage(client, name="m2", peer_urls=[url])
        assert "until the member m2 has been started with its new peer URLs, 1 of 3" in str(
            caught.value
        )
        assert "the member m3 could not be asked for its health" in str(caught.value)
        assert _would(client, name="m2", peer_urls=[url], force=True)["action"] == "update"
        # The one that is down costs nothing.
        assert _would(client, name="m3", peer_urls=[url])["action"] == "update"


def test_three_grow_to_five_lose_their_leader_and_are_three_again(changing: Cluster) -> None:
    """Every step through the module; the removed leader comes back with a clean data directory."""
    client = Client(changing.endpoints)
    client.write("/kept", "through all of it")
    _grow(changing, client, "m4")
    _grow(changing, client, "m5")
    client = Client(changing.endpoints)
    info = _info(client)
    assert info["quorum"] == {"size": 5, "needed": 3, "healthy": 5}

    leader = info["leader"]["name"]
    ended = _remove(changing, client, leader)
    info = _info(client)
    assert info["leader"]["name"] not in (None, leader)
    assert (info["quorum"]["size"], info["quorum"]["healthy"]) == (4, 4)
    assert client.read("/kept", quorum=True).node.value == "through all of it"

    again = _manage(client, name=leader, peer_urls=[ended.peer_url])
    assert again["changed"]
    # What a removed member knew is of no use to the next of its name, which would not start.
    assert os.path.isdir(ended.data_dir)
    shutil.rmtree(ended.data_dir)
    started = _start(changing, again)
    waited = _manage(client, name=leader, peer_urls=[ended.peer_url], wait=True)
    assert waited["member"]["client_urls"] == [started.endpoint]
    assert Client(started.endpoint).read("/kept").node.value == "through all of it"

    for name in ("m4", "m5"):
        _remove(changing, client, name)
    assert sorted(one.name for one in client.members()) == ["m1", "m2", "m3"]
    assert client.write("/kept", "to the end").node.value == "to the end"


def test_a_started_member_moves_to_other_peer_urls(changing: Cluster) -> None:
    """The server accepts the new URL; the member is healthy once it has been started there."""
    client = Client(changing.endpoints)
    moving = next(one for one in changing.members if one is not changing.leader())
    url = changing.new_peer_url()
    would = _would(client, name=moving.name, peer_urls=[url])
    done = _manage(client, name=moving.name, peer_urls=[url])
    again = _manage(client, name=moving.name, peer_urls=[url])
    assert [one["changed"] for one in (would, done, again)] == [True, True, False]
    assert done["diff"] == would["diff"]
    assert done["diff"]["before"]["peer_urls"] == [moving.peer_url]
    assert done["diff"]["after"]["peer_urls"] == [url]
    assert done["member"]["started"]
    moving.terminate()
    moving.move_peer_url(url)
    moving.start()
    waited = _manage(client, peer_urls=[url], wait=True)
    assert waited["member"]["name"] == moving.name
    # The others reach it there: without it there is no quorum once one of them is gone.
    other = next(one for one in changing.members if one is not moving)
    other.kill()
    changing.wait_healthy()
    assert Client(moving.endpoint).write("/moved", "here").node.value == "here"
    other.start()
    changing.wait_healthy()


def test_peer_urls_that_are_written_otherwise(changing: Cluster) -> None:
    """Case, default port and trailing slash do not matter, whatever the server has stored."""
    client = Client(changing.endpoints)
    _manage(client, name="m4", peer_urls=["http://127.0.0.1"])
    ours = next(one for one in client.members() if not one.started)
    assert ours.peer_urls == ("http://127.0.0.1:2380",)
    assert _manage(client, peer_urls=["http://127.0.0.1/"], state="absent")["changed"]

    class Careless(Client):
        """Sends what somebody typed elsewhere."""

        def add_member(self, peer_urls: t.Any) -> t.Any:
            return super().add_member([url.replace("localhost", "LocalHost") for url in peer_urls])

    careless = Careless(changing.endpoints)
    _manage(careless, peer_urls=["http://localhost:2380", "http://localhost:2381"])
    theirs = next(one for one in client.members() if not one.started)
    assert sorted(theirs.peer_urls) == ["http://LocalHost:2380", "http://LocalHost:2381"]
    for urls in (
        ["http://localhost", "http://localhost:2381"],
        ["HTTP://LOCALHOST:2381/", "http://localhost:2380/"],
    ):
        found = _manage(client, peer_urls=urls)
        assert (found["changed"], found["member"]["id"]) == (False, theirs.id)
    with pytest.raises(Refusal) as caught:
        _manage(client, peer_urls=["http://LOCALHOST/"], state="absent")
    assert "http://localhost:2380, http://localhost:2381" in str(caught.value)
    assert theirs.id in [one.id for one in client.members()]
    removed = _manage(
        client, peer_urls=["http://LOCALHOST/", "http://localhost:2381/"], state="absent"
    )
    assert (removed["changed"], removed["member"]["id"]) == (True, theirs.id)


class Overtaken(Noting):
    """Others change the cluster between the reading of the members and the change."""

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__(*arguments)
        self._other = Client(*arguments)

    def update_member(self, member_id: str, peer_urls: t.Any) -> None:
        self._other.remove_member(member_id)
        super().update_member(member_id, peer_urls)

    def remove_member(self, member_id: str) -> None:
        self._other.remove_member(member_id)
        super().remove_member(member_id)

    def add_member(self, peer_urls: t.Any) -> t.Any:
        if not self.refused:
            _manage(self._other, peer_urls=peer_urls)
        return super().add_member(peer_urls)


class Mistaken(Noting):
    """Is told of a member, when it first asks, that no server knows."""

    def members(self) -> t.Tuple[t.Any, ...]:
        known = super().members()
        ghost = known[0]._replace(id="1234", name="ghost", peer_urls=("http://127.0.0.1:1",))
        return known if self.refused else (*known, ghost)


class Belated(Noting):
    """Is not told, when it first asks, of the member that somebody else has just added."""

    def members(self) -> t.Tuple[t.Any, ...]:
        known = super().members()
        return known if self.refused else tuple(one for one in known if one.name != "m3")


def test_others_are_faster(changing: Cluster) -> None:
    """409 or 500, 410 and 404: the state asked for holds, and no change of it is ours."""
    url = changing.new_peer_url()
    overtaken = Overtaken(changing.endpoints)
    added = _manage(overtaken, name="m4", peer_urls=[url])
    assert len(overtaken.refused) == 1
    # A member that has not started makes the server say 500, which may also follow a commit.
    assert added["changed"] is (overtaken.refused == [errors.EtcdReconfigurationRefused])
    assert added["member"]["peer_urls"] == [url]

    # One that is gone when it is to be changed cannot be had again: its id is never used twice.
    overtaken.refused.clear()
    moved_url = changing.new_peer_url()
    with pytest.raises(Refusal) as caught:
        _manage(overtaken, id=added["member"]["id"], peer_urls=[moved_url])
    assert "there is no member with the id %s" % added["member"]["id"] in str(caught.value)
    assert overtaken.refused[0] in (errors.EtcdMemberNotFound, errors.EtcdReconfigurationRefused)
    moved = _manage(Client(changing.endpoints), name="m4", peer_urls=[moved_url])
    assert (moved["changed"], moved["member"]["peer_urls"]) == (True, [moved_url])
    assert [one.peer_urls for one in overtaken.members() if not one.started] == [(moved_url,)]
    url = moved_url

    overtaken.refused.clear()
    removed = _manage(overtaken, peer_urls=[url], state="absent")
    assert overtaken.refused == [errors.EtcdMemberRemoved]
    assert (removed["changed"], removed["action"], removed["member"]) == (False, "nothing", None)
    assert removed["diff"]["before"] == removed["diff"]["after"] == {}

    belated = Belated(changing.endpoints)
    third = changing.member("m3")
    added = _manage(belated, peer_urls=[third.peer_url])
    assert belated.refused == [errors.EtcdMemberExists]
    assert (added["changed"], added["member"]["name"]) == (False, "m3")

    mistaken = Mistaken(changing.endpoints)
    removed = _manage(mistaken, name="ghost", state="absent", force=True)
    assert mistaken.refused == [errors.EtcdMemberNotFound]
    assert (removed["changed"], removed["action"]) == (False, "nothing")
    assert sorted(one["name"] for one in removed["members"]) == ["m1", "m2", "m3"]


def test_an_addition_after_which_nobody_answers(changing: Cluster) -> None:
    """It was made, and the only way to the cluster ends with it: that is not "unreachable"."""
    url = changing.new_peer_url()
    sent = []

    def from_the_change_on(method: str, target: str) -> bool:
        if method == "POST":
            sent.append(target)
        return bool(sent)

    client = Client(changing.endpoints)
    # Members refuse changes shortly after their start; from now on they do not.
    other = changing.new_peer_url()
    for state in ("present", "absent"):
        assert _manage(client, peer_urls=[other], state=state)["changed"]
    with FaultProxy(changing.leader().endpoint) as proxy:
        proxy.set_mode("cut_after_forward", match=from_the_change_on)
        with pytest.raises(errors.EtcdOutcomeUnknown):
            _manage(Client(proxy.url, total_timeout=2.0), name="m4", peer_urls=[url])
    assert (url,) in [one.peer_urls for one in client.members()]
    assert _manage(client, peer_urls=[url], state="absent")["changed"]


def test_members_that_speak_tls(binary: Binary, pem: Certs) -> None:
    """https between members and to clients, each with a certificate."""
    tls = Tls(pem, client_auth=True, peers=True)
    files = {"ca_cert": pem.ca_cert, "client_cert": pem.client_cert, "client_key": pem.client_key}
    with Cluster(binary, size=2, tls=tls) as cluster:
        client = Client(cluster.endpoints, **files)
        client.write("/secret", "kept")
        member = _grow(cluster, client, "m3")
        assert member["peer_urls"][0].startswith("https://")
        assert member["client_urls"][0].startswith("https://")
        newest = Client(member["client_urls"], **files)
        assert newest.read("/secret").node.value == "kept"
        info = _info(Client(cluster.endpoints, **files))
        assert info["quorum"] == {"size": 3, "needed": 2, "healthy": 3}
        _remove(cluster, client, "m3")
        assert len(client.members()) == 2


@pytest.fixture
def old_and_new(binary: Binary, servers: t.Sequence[Binary]) -> t.Iterator[Cluster]:
    """Two members of etcd 3.4 and one of 3.5, added by the module."""
    old = next((one for one in servers if one.version.startswith("3.4.")), None)
    if binary.version.startswith("3.4.") or old is None:
        pytest.skip("etcd 3.5 joins a cluster of etcd 3.4, and both are needed")
    with Cluster(old, size=2) as cluster:
        _grow(cluster, Client(cluster.endpoints), "m3", binary=binary)
        yield cluster


def test_a_cluster_of_two_versions(old_and_new: Cluster, binary: Binary) -> None:
    """Both show; a directory's TTL, about which the two would disagree, is refused everywhere."""
    everyone = Client(old_and_new.endpoints)
    info = _info(everyone)
    assert info["versions"] == [old_and_new.binary.version, binary.version]
    assert {one["cluster_version"] for one in info["endpoints"]} == {"3.4.0"}
    assert info["quorum"] == {"size": 3, "needed": 2, "healthy": 3}
    everyone.mkdir("/d", ttl=600)
    options = {
        "path": "/d",
        "state": "present",
        "ttl": 60,
        "recursive": False,
        "force": False,
        "prev_index": None,
        "children": False,
    }
    for member in old_and_new.members:
        client = Client(member.endpoint)
        with pytest.raises(Refusal) as caught:
            manage_dir(options, lambda client=client: client, apply=True)  # type: ignore[misc]
        assert "is etcd %s)" % binary.version in str(caught.value), member
        assert client.read("/d", quorum=True).node.ttl > 500
    assert not manage_dir(dict(options, ttl=600), lambda: everyone, apply=True)["changed"]
