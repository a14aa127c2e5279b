# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.info import gather_info

ALWAYS = {"endpoint", "reachable", "reason", "latency", "v2_served", "cluster_id"}
EVERYTHING = ["version", "health", "members", "leader", "stats", "auth", "keys"]


def url(name):
    return "http://%s:2379" % name


MEMBERS = tuple(
    Member(id_, name, ("http://%s:2380" % name,), (url(name),) if name else ())
    for id_, name in (("b2", "b"), ("a1", "a"), ("c3", "c"))
)


def survey(name, **said):
    """A healthy follower of a, unless said otherwise."""
    usual = {
        "latency": 0.1,
        "version": "3.5.1",
        "cluster_version": "3.5.0",
        "healthy": True,
        "v2_served": True,
        "member_id": {"a": "a1", "b": "b2", "c": "c3"}.get(name),
        "name": name,
        "leader_id": "a1",
        "cluster_id": "cafe",
        "etcd_index": 9,
        "raft_index": 19,
        "raft_term": 2,
        "auth_enabled": False,
        "members": MEMBERS,
        "keys": ("/k",),
    }
    return Survey(url(name), True, **dict(usual, **said))


def silent(name, reason="no answer in time"):
    return Survey(url(name), False, reason=reason)


WITHOUT_V2 = Survey(url("w"), True, version="3.6.0", healthy=True, v2_served=False)


class FakeClient:
    """Its surveys, and what else it is asked; an answer that is an exception is raised."""

    def __init__(self, *surveys, leader="stats of the leader", read=None):
        self._surveys = surveys
        self._leader = leader
        self._read = read
        self.asked = []

    def survey(self, *, ask):
        self.questions = set(ask)
        return self._surveys

    def read(self, key):
        self.asked.append(("read", key))
        if isinstance(self._read, Exception):
            raise self._read

    def stats_leader(self, endpoint):
        return self._stats("leader", endpoint, self._leader)

    def stats_self(self, endpoint):
        return self._stats("self", endpoint, "stats of itself")

    def stats_store(self, endpoint):
        return self._stats("store", endpoint, "stats of the store")

    def _stats(self, name, endpoint, answer):
        self.asked.append((name, endpoint))
        if isinstance(answer, Exception):
            raise answer
        return EtcdResult({"said": answer}, {}, endpoint=endpoint)


def gather(client, *subsets):
    return gather_info({"gather": list(subsets or EVERYTHING)}, lambda: client, apply=True)


THREE = (survey("a"), survey("b"), survey("c"))


@pytest.mark.parametrize(
    "subset, adds, report",
    [
        ("version", {"version", "cluster_version"}, {"versions"}),
        ("health", {"healthy", "etcd_index", "raft_index", "raft_term"}, set()),
        ("members", {"member_id", "name"}, set()),
        ("leader", {"is_leader"}, set()),
        ("stats", set(), set()),
        ("auth", {"auth_enabled"}, {"auth_enabled"}),
        ("keys", set(), set()),
    ],
)
def test_subsets(subset, adds, report):
    client = FakeClient(*THREE)
    found = gather(client, subset)
    assert found["changed"] is False
    assert [set(entry) for entry in found["endpoints"]] == [ALWAYS | adds] * 3
    always = {"changed", "endpoints", "cluster_ids", "warnings"}
    always |= {"members", "leader", "quorum", "stats", "root_keys"}
    assert set(found) == always | report
    known = subset in ("health", "members", "leader")
    assert (found["members"] is not None) is known
    assert (found["quorum"] is not None) is known
    assert (found["stats"] is not None) is (subset == "stats")
    assert (found["root_keys"] is not None) is (subset == "keys")
    assert bool(client.asked) is (subset == "stats"), "all else comes with the survey"
    assert ("auth" in client.questions) is (subset in ("auth", "keys"))
    assert ("index" in client.questions) is (subset in ("health", "keys"))


def test_everything():
    found = gather(FakeClient(*THREE))
    assert [entry["endpoint"] for entry in found["endpoints"]] == [url("a"), url("b"), url("c")]
    assert [entry["is_leader"] for entry in found["endpoints"]] == [True, False, False]
    assert found["warnings"] == []
    assert found["cluster_ids"] == ["cafe"]
    assert found["versions"] == ["3.5.1"]
    assert found["auth_enabled"] is False
    assert [one["name"] for one in found["members"]] == ["a", "b", "c"]
    assert found["members"][0] == {
        "id": "a1",
        "name": "a",
        "peer_urls": ["http://a:2380"],
        "client_urls": [url("a")],
        "started": True,
        "healthy": True,
    }
    assert found["leader"]["id"] == "a1"
    assert found["quorum"] == {"size": 3, "needed": 2, "healthy": 3}
    assert found["root_keys"] == ["/k"]
    assert {name: said["said"] for name, said in found["stats"].items()} == {
        "self": "stats of itself",
        "store": "stats of the store",
        "leader": "stats of the leader",
    }


def test_it_fails_only_if_none_answers():
    client = FakeClient(silent("a"), silent("b", "connection refused"))
    with pytest.raises(errors.EtcdUnreachable) as caught:
        gather(client)
    assert "http://a:2379: no answer in time" in str(caught.value)
    assert "http://b:2379: connection refused" in str(caught.value)
    assert client.asked == []


@pytest.mark.parametrize(
    "surveys, leader, healthy, states",
    [
        (THREE, "a", 3, [True, True, True]),
        ((survey("a"), survey("b"), silent("c")), "a", 2, [True, True, None]),
        ((survey("b", leader_id="c3"), survey("c", leader_id="c3")), "c", 2, [None, True, True]),
        # No quorum
        (
            (survey("a", leader_id=None, healthy=False), silent("b"), silent("c")),
            None,
            0,
            [False, None, None],
        ),
        # A leader that is none of the members that are listed
        ((survey("a", leader_id="ff"),), None, 1, [True, None, None]),
        # An endpoint that does not say who it is, and is known by its URL
        ((survey("a", member_id=None),), "a", 1, [True, None, None]),
        # An endpoint that is known by what it says, at another URL
        ((survey("proxy", member_id="b2"),), "a", 1, [None, True, None]),
        # A member that is asked at two URLs
        (
            (survey("b"), survey("proxy", member_id="b2", healthy=False)),
            "a",
            1,
            [None, True, None],
        ),
    ],
)
def test_members_and_quorum(surveys, leader, healthy, states):
    found = gather(FakeClient(*surveys))
    assert (found["leader"] or {}).get("name") == leader
    assert found["quorum"] == {"size": 3, "needed": 2, "healthy": healthy}
    assert [one["healthy"] for one in found["members"]] == states


def test_an_endpoint_is_known_by_its_url_however_the_member_writes_it():
    member = Member("a1", "a", ("http://a:2380",), ("unix://a:1", "HTTP://A:2379/"))
    found = gather(FakeClient(survey("a", member_id=None, members=(member,))))
    assert [one["healthy"] for one in found["members"]] == [True]


@pytest.mark.parametrize("size, needed", [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_how_many_are_needed(size, needed):
    members = tuple(Member("%x" % number, "", (), ()) for number in range(size))
    found = gather(FakeClient(survey("a", members=members)))
    assert found["quorum"] == {"size": size, "needed": needed, "healthy": 0}
    assert [one["started"] for one in found["members"]] == [False] * size


def test_the_leader_knows_best_who_is_a_member():
    found = gather(FakeClient(survey("b", members=MEMBERS[:2]), survey("a")))
    assert len(found["members"]) == 3


def test_a_mixture_of_clusters_is_worth_a_warning():
    found = gather(FakeClient(survey("a"), survey("x", cluster_id="beef"), silent("c")))
    assert found["cluster_ids"] == ["beef", "cafe"]
    assert found["warnings"] == [
        "the endpoints belong to different clusters, with the ids beef, cafe"
    ]


def test_a_node_without_v2_alone():
    client = FakeClient(WITHOUT_V2)
    found = gather(client)
    assert found["endpoints"][0]["healthy"] is True
    assert found["endpoints"][0]["v2_served"] is False
    for name in ("members", "leader", "quorum", "stats", "root_keys", "auth_enabled"):
        assert found[name] is None
    assert found["warnings"] == []
    assert client.asked == []


def test_a_node_without_v2_is_asked_for_nothing_more():
    client = FakeClient(WITHOUT_V2, silent("b"), survey("c"))
    found = gather(client)
    assert found["quorum"] == {"size": 3, "needed": 2, "healthy": 1}
    assert {endpoint for unused, endpoint in client.asked} == {url("c")}
    assert found["versions"] == ["3.5.1", "3.6.0"]


@pytest.mark.parametrize(
    "surveys, asked, leader",
    [
        (THREE, [("leader", url("a")), ("self", url("a")), ("store", url("a"))], True),
        (
            (silent("c"), survey("b"), survey("a")),
            [("leader", url("a")), ("self", url("a")), ("store", url("a"))],
            True,
        ),
        # Silent endpoints are not asked again, though one of them leads.
        ((silent("a"), survey("b")), [("self", url("b")), ("store", url("b"))], False),
        ((survey("b", leader_id=None),), [("self", url("b")), ("store", url("b"))], False),
    ],
)
def test_whose_statistics(surveys, asked, leader):
    client = FakeClient(*surveys)
    found = gather(client, "stats")
    assert client.asked == asked
    assert (found["stats"]["leader"] is not None) is leader


@pytest.mark.parametrize("exc", [errors.EtcdNotLeader("no"), errors.EtcdNoLeader("no")])
def test_a_leader_that_has_stepped_down(exc):
    found = gather(FakeClient(*THREE, leader=exc), "stats")
    assert found["stats"]["leader"] is None
    assert found["stats"]["self"] is not None


LOCKED = {"auth_enabled": True, "keys": None, "etcd_index": None}


def test_keys_that_one_may_not_read():
    client = FakeClient(survey("a", **LOCKED), read=errors.EtcdUnauthorized("who may not"))
    found = gather(client, "keys", "auth")
    assert found["root_keys"] is None
    assert found["auth_enabled"] is True
    assert found["warnings"] == ["the keys could not be read: who may not (etcd error 110)"]


@pytest.mark.parametrize(
    "surveys, keys, warnings",
    [
        ([survey("a", keys=None), survey("b", keys=("/x", "/y"))], ["/x", "/y"], 0),
        ([survey("a", keys=())], [], 0),
        ([survey("a", keys=None)], None, 0),
        ([survey("a", **LOCKED)], None, 1),
    ],
)
def test_keys(surveys, keys, warnings):
    found = gather(FakeClient(*surveys), "keys")
    assert found["root_keys"] == keys
    assert len(found["warnings"]) == warnings
