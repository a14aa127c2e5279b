# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._records import Member, Survey
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir
from ansible_collections.quorum.etcd.tests.unit.fakes import store as faults
from ansible_collections.quorum.etcd.tests.unit.fakes.store import FakeStore

OPTIONS = {
    "path": "/d",
    "state": "present",
    "ttl": None,
    "recursive": False,
    "force": False,
    "prev_index": None,
    "children": False,
}


class Store(FakeStore):
    """A store whose server has a version."""

    def __init__(self, version="3.4.23", cluster="3.4.0", others=()):
        super().__init__()
        self._version, self._cluster, self._others = version, cluster, others
        self.versions_asked = 0

    def members(self):
        names = ["m%d" % number for number in range(2, 2 + len(self._others))]
        return tuple(Member(name, name, (), ("http://%s:2379" % name,)) for name in names)

    def survey_members(self, members, *, ask):
        assert ask == ("version",)
        return {
            member.id: Survey("", version is not None, version=version, reason="no answer in time")
            for version, member in zip(self._others, members)
        }

    def version(self):
        self.versions_asked += 1
        return self._version

    def version_cluster(self):
        return self._cluster


def manage(store, apply=True, **options):
    return manage_dir(dict(OPTIONS, **options), lambda: store, apply=apply)


def test_the_root_is_refused_before_anything_is_sent():
    def connect():
        raise AssertionError("nothing must be sent")

    with pytest.raises(Refusal):
        manage_dir(dict(OPTIONS, path="/"), connect, apply=True)


def test_a_directory_is_made_once():
    store = Store()
    would = manage(store, apply=False, ttl=60)
    assert store.sends == 0
    made = manage(store, ttl=60)
    again = manage(store, ttl=60)
    assert [one["changed"] for one in (would, made, again)] == [True, True, False]
    assert would["diff"] == made["diff"]
    assert (would["ttl"], would["created_index"], would["modified_index"]) == (60, None, None)
    assert (made["ttl"], made["created_index"], made["modified_index"]) == (60, 11, 11)
    assert (again["created_index"], again["modified_index"]) == (11, 11)
    assert (made["prev_index"], again["prev_index"]) == (None, 11)
    assert store.commits == ["create"]
    assert store.versions_asked == 0, "the version matters only where a TTL is to be changed"


@pytest.mark.parametrize("ttl, left", [(60, 60), (0, None)])
def test_3_4_changes_a_ttl_and_keeps_the_index(ttl, left):
    store = Store()
    store.put_dir("/d", ttl=600)
    would = manage(store, apply=False, ttl=ttl)
    assert store.sends == 0
    done = manage(store, ttl=ttl)
    assert done["action"] == would["action"] == "set_dir_ttl"
    assert done["ttl"] == would["ttl"] == left
    assert done["diff"] == would["diff"]
    assert (done["created_index"], done["modified_index"]) == (11, 11)


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize(
    "version, cluster, says",
    [
        ("3.5.1", "3.5.0", "this server is etcd 3.5.1"),
        ("3.5.1", "3.4.0", "this server is etcd 3.5.1"),
        ("3.4.23", "3.5.0", "the cluster's version is 3.5.0"),
    ],
)
def test_3_5_cannot_change_a_ttl_and_is_not_asked_to(apply, version, cluster, says):
    store = Store(version, cluster)
    store.put_dir("/d", ttl=600)
    with pytest.raises(Refusal) as caught:
        manage(store, apply=apply, ttl=60)
    assert says in str(caught.value)
    assert store.sends == 0


def test_a_member_of_3_5_among_others_is_found():
    # The cluster's version is that of the oldest member, and the one that answers is one of 3.4.
    store = Store(others=["3.4.23", "3.5.1"])
    store.put_dir("/d", ttl=600)
    with pytest.raises(Refusal) as caught:
        manage(store, ttl=60)
    assert "the member m3 is etcd 3.5.1" in str(caught.value)
    assert store.sends == 0


@pytest.mark.parametrize("others", [["3.4.23", "3.4.23"], ["3.4.23", None], [None]])
def test_a_member_that_does_not_answer_is_no_obstacle(others):
    store = Store(others=others)
    store.put_dir("/d", ttl=600)
    assert manage(store, ttl=60)["action"] == "set_dir_ttl"


@pytest.mark.parametrize("apply", [True, False])
def test_a_member_whose_version_is_not_known_is_worth_a_warning(apply):
    store = Store(others=("3.4.23", None))
    store.put_dir("/d", ttl=600)
    report = manage(store, apply=apply, ttl=60)
    (warning,) = report["warnings"]
    assert "the version of the member m3 is not known (no answer in time)" in warning
    assert manage(store, apply=apply, ttl=600)["warnings"] == []


@pytest.mark.parametrize("options", [{}, {"ttl": 600}, {"ttl": 9999}])
def test_3_5_is_fine_where_the_ttl_is(options):
    store = Store("3.5.1", "3.5.0")
    store.put_dir("/d", ttl=600)
    assert not manage(store, **options)["changed"]


@pytest.mark.parametrize(
    "recursive, children", [(False, ["/d/a", "/d/b"]), (True, ["/d/a", "/d/a/x", "/d/b"])]
)
def test_children(recursive, children):
    store = Store()
    store.put("/d/b", "v")
    store.put("/d/a/x", "v")
    assert manage(store, children=True, recursive=recursive)["children"] == children
    assert "children" not in manage(store)


@pytest.mark.parametrize(
    "there, options",
    [
        (None, {}),
        (None, {"state": "absent"}),
        ("key", {"force": True}),
        ("dir", {"state": "absent", "recursive": True}),
    ],
)
@pytest.mark.parametrize("apply", [True, False])
def test_no_children_are_left(there, options, apply):
    store = Store()
    if there == "key":
        store.put("/d", "v")
    elif there == "dir":
        store.put("/d/a", "v")
    assert manage(store, apply=apply, children=True, **options)["children"] == []


def test_a_key_is_replaced_by_force():
    store = Store()
    store.put("/d", "precious")
    with pytest.raises(Refusal):
        manage(store)
    would = manage(store, apply=False, force=True)
    assert (store.sends, store.value("/d")) == (0, "precious")
    done = manage(store, force=True)
    assert store.commits == ["compareAndDelete", "create"]
    for one in (would, done):
        assert one["action"] == "replace"
        assert one["prev_value"] == "precious"
        assert one["prev_index"] == 11
        assert one["diff"]["before"] == "precious\n"
        assert one["diff"]["after"] == {"dir": True, "ttl": None}
    assert would["created_index"] is None
    assert done["created_index"] == 13


def test_a_replacement_that_stops_half_way_says_so():
    store = Store()
    store.put("/d", "precious")
    store.faults += [faults.delivered, faults.after(lambda: store.put("/d", "another"))]
    with pytest.raises(Incomplete) as caught:
        manage(store, force=True)
    assert caught.value.changed is True
    assert store.value("/d") == "another"


def test_hidden_keys_count():
    store = Store()
    store.put("/d/_hidden", "v")
    read = store.read

    def read_without_hidden(key, **options):
        result = read(key, **options)
        result.body["node"].pop("nodes", None)
        return result

    store.read = read_without_hidden
    with pytest.raises(Refusal) as caught:
        manage(store, state="absent")
    assert "it holds hidden ones" in str(caught.value)
    assert store.value("/d/_hidden") == "v"
    assert manage(store, state="absent", recursive=True)["changed"]


def test_what_a_removal_returns():
    store = Store()
    store.put("/d/a", "v")
    done = manage(store, state="absent", recursive=True)
    assert done["action"] == "remove_dir"
    assert (done["ttl"], done["created_index"], done["modified_index"]) == (None, None, None)
    assert done["diff"]["before"] == {"dir": True, "ttl": None, "children": ["/d/a"]}
    assert done["diff"]["after"] == {}
    again = manage(store, state="absent", recursive=True)
    assert not again["changed"]
    assert again["prev_index"] is None
