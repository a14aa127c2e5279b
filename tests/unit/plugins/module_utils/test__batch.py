# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _batch, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
)
from ansible_collections.quorum.etcd.tests.unit.fakes.store import (
    FakeStore,
    after,
    before,
    delivered,
    lost_after,
    lost_before,
    raising,
)


def creation(key):
    return KeyAction(ActionKind.CREATE, key, None, value="v")


def unreachable(commit):
    raise errors.EtcdUnreachable("no endpoint answered")


def test_a_write_for_which_there_was_no_connection_finds_another_endpoint():
    store = FakeStore()
    store.faults.append(unreachable)
    actions = [creation("/a"), creation("/b")]
    progress = _batch.Progress(store.index, None)
    _batch.carry_out_all(store, [actions], progress, connections=2, lost_is_final=False)
    assert sorted(one.key for one in progress.done) == ["/a", "/b"]
    assert (progress.failed, progress.lost, progress.not_tried) == ([], [], [])
    assert store.commits == ["create", "create"]


def test_a_write_that_reaches_nobody_is_a_failure_of_its_own():
    store = FakeStore()
    store.faults.extend([unreachable, unreachable])
    actions = [creation("/a")]
    progress = _batch.Progress(store.index, None)
    _batch.carry_out_all(store, [actions], progress, connections=2, lost_is_final=False)
    assert [(one.key, str(exc)) for one, exc in progress.failed] == [("/a", "no endpoint answered")]
    assert progress.done == [] and store.commits == []


# -- what becomes of each action


REFUSED = raising(errors.EtcdUnauthorized("no rights"))


def state(store, key):
    node = store.nodes[key]
    return KeyState(
        node.get("value"),
        node.get("dir", False),
        node.get("ttl"),
        None,
        node["createdIndex"],
        node["modifiedIndex"],
    )


def run(store, *stages, connections=2, lost_is_final=False):
    """Carry out the stages; the keys of each list of what became of them, and the progress."""
    progress = _batch.Progress(store.index, "http://first:2379")
    _batch.carry_out_all(
        store, stages, progress, connections=connections, lost_is_final=lost_is_final
    )
    accounts = {
        "done": [one.key for one in progress.done],
        "failed": [one.key for one, unused in progress.failed],
        "lost": [one.key for one in progress.lost],
        "possible": [one.key for one in progress.possible],
        "not_tried": [one.key for one in progress.not_tried],
    }
    keys = sorted(key for some in accounts.values() for key in some)
    assert keys == sorted(one.key for stage in stages for one in stage), "each is in one list"
    return {name: some for name, some in accounts.items() if some}, progress


def creations(names):
    return [creation("/" + name) for name in names]


def test_stages_follow_each_other():
    store = FakeStore()
    accounts, progress = run(store, creations("ab"), creations("cd"))
    assert accounts == {"done": ["/a", "/b", "/c", "/d"]}
    assert progress.etcd_index == store.index
    assert progress.endpoint == "http://fake:2379"
    assert store.batches == [2, 2]
    assert not progress.raced


def test_nothing_to_do():
    accounts, progress = run(FakeStore(), [], [])
    assert (accounts, progress.etcd_index, progress.endpoint) == ({}, 10, "http://first:2379")


def test_a_failure_ends_it_and_what_is_under_way_is_waited_for():
    store = FakeStore()
    store.faults.extend([delivered, REFUSED])
    accounts, unused = run(store, creations("abcdef"), creations("gh"), connections=3)
    # When the second one fails, two more are under way.
    assert accounts == {
        "done": ["/a", "/c", "/d"],
        "failed": ["/b"],
        "not_tried": ["/e", "/f", "/g", "/h"],
    }


def test_a_lost_race_ends_the_stage_at_its_end():
    store = FakeStore()
    store.faults.append(after(lambda: store.put("/a", "theirs")))
    accounts, progress = run(store, creations("abc"), creations("d"))
    assert accounts == {"done": ["/b", "/c"], "lost": ["/a"], "not_tried": ["/d"]}
    assert progress.raced


def test_one_that_is_lost_and_one_that_fails():
    store = FakeStore()
    store.faults.extend([after(lambda: store.put("/a", "theirs")), REFUSED])
    accounts, unused = run(store, creations("abc"), creations("d"), connections=1)
    assert accounts == {"lost": ["/a"], "failed": ["/b"], "not_tried": ["/c", "/d"]}


def test_a_lost_race_may_be_a_failure():
    store = FakeStore()
    store.faults.append(after(lambda: store.put("/a", "theirs")))
    accounts, progress = run(store, creations("abc"), connections=1, lost_is_final=True)
    assert accounts == {"failed": ["/a"], "not_tried": ["/b", "/c"]}
    assert isinstance(progress.failed[0][1], errors.EtcdConflict)


@pytest.mark.parametrize("fault", [lost_before, lost_after])
def test_one_in_doubt_is_settled_and_the_rest_goes_on(fault):
    store = FakeStore()
    store.faults.extend([delivered, fault])
    accounts, progress = run(store, creations("abcd"))
    assert sorted(accounts["done"]) == ["/a", "/b", "/c", "/d"]
    assert store.commits == ["create"] * 4
    assert progress.etcd_index == store.index
    assert progress.endpoint == "http://fake:2379"


def test_one_in_doubt_that_another_client_was_faster_with():
    store = FakeStore()
    store.faults.append(after(lambda: store.put("/a", "theirs"), lost_before))
    accounts, unused = run(store, creations("ab"))
    assert accounts == {"done": ["/b"], "lost": ["/a"]}


@pytest.mark.parametrize("lost_is_final", [True, False])
def test_an_equal_write_of_another_client(lost_is_final):
    store = FakeStore()
    store.faults.append(after(lambda: store.create("/a", "v"), lost_before))
    accounts, progress = run(store, creations("a"), lost_is_final=lost_is_final)
    if not lost_is_final:
        assert accounts == {"done": ["/a"]}
        return
    assert accounts == {"failed": ["/a"]}
    ((action, exc),) = progress.failed
    assert isinstance(exc, errors.EtcdOutcomeUnknown)
    assert exc.index == store.index
    assert action == creation("/a")


def test_the_events_before_it_was_sent_do_not_count():
    """Another client made and removed an equal key after the plan and before this was sent."""
    store = FakeStore()
    store.create("/b", "v")
    store.remove("/b")
    store.faults.append(after(lambda: store.create("/b", "other"), lost_before))
    accounts, unused = run(store, creations("b"))
    assert accounts == {"lost": ["/b"]}


def test_a_refresh_in_doubt_is_possible():
    store = FakeStore()
    store.put("/a", "v", ttl=9)
    action = KeyAction(ActionKind.REFRESH, "/a", state(store, "/a"), "v", 60)
    store.faults.append(lost_after)
    accounts, progress = run(store, [action], creations("b"))
    assert accounts == {"possible": ["/a"], "not_tried": ["/b"]}
    assert progress.raced


@pytest.mark.parametrize("needed", [True, False])
def test_what_is_planned_again(needed):
    store = FakeStore()
    store.put("/a", "v", ttl=9)
    action = KeyAction(ActionKind.REFRESH, "/a", state(store, "/a"), "v", 60)
    store.faults.append(lost_after)
    unused, progress = run(store, [action], creations("b"))
    progress.planned_again([[action] if needed else [], creations("b")])
    assert progress.done == ([] if needed else [action])
    assert (progress.lost, progress.possible, progress.not_tried) == ([], [], [])


def removals(store, names):
    for name in names:
        store.put_dir("/" + name)
    return [
        KeyAction(ActionKind.REMOVE_DIR, "/" + name, state(store, "/" + name)) for name in names
    ]


def test_removals_in_doubt_are_sent_once_and_looked_for_together():
    store = FakeStore()
    actions = removals(store, "abc")
    store.faults.extend([lost_before, lost_before, lost_after])
    accounts, progress = run(store, actions, connections=3)
    assert accounts == {"done": ["/c"], "failed": ["/a", "/b"]}
    assert {type(exc) for unused, exc in progress.failed} == {errors.EtcdOutcomeUnknown}
    assert (store.sends, store.now) == (3, store.total)


def test_a_directory_that_is_not_empty_is_lost():
    store = FakeStore()
    actions = removals(store, "a")
    store.put("/a/x", "x")
    assert run(store, actions)[0] == {"lost": ["/a"]}
    store.refusals = 1
    assert run(store, actions)[0] == {"lost": ["/a"]}


def test_a_key_that_was_removed_in_the_place_of_a_directory_is_a_failure():
    store = FakeStore()
    actions = removals(store, "a")
    store.remove("/a")
    store.put("/a", "file")
    accounts, progress = run(store, actions)
    assert accounts == {"failed": ["/a"]}
    assert "in its stead" in str(progress.failed[0][1])


def test_an_endpoint_that_takes_nothing():
    store = FakeStore()
    store.refusals = 1
    accounts, unused = run(store, creations("abc"))
    assert accounts == {"done": ["/a", "/b", "/c"]}
    assert store.batches == [2, 2]


def test_an_endpoint_that_takes_nothing_and_a_write_that_is_refused():
    store = FakeStore()
    store.refusals = 1
    store.faults.append(REFUSED)
    accounts, unused = run(store, creations("abc"))
    assert accounts == {"failed": ["/a"], "not_tried": ["/b", "/c"]}


def test_what_never_left_is_not_tried_once_another_one_has_failed():
    store = FakeStore()
    store.faults.extend([unreachable, REFUSED])
    accounts, unused = run(store, creations("ab"))
    assert accounts == {"failed": ["/b"], "not_tried": ["/a"]}
    assert store.commits == []


def test_another_client_after_ours():
    store = FakeStore()
    store.faults.append(before(lambda: store.put("/a", "theirs"), lost_after))
    assert run(store, creations("a"))[0] == {"done": ["/a"]}


def test_the_index_is_the_highest_that_was_seen():
    progress = _batch.Progress(7, None)
    for index, then in ((5, 7), (None, 7), (9, 9), (8, 9)):
        progress.succeeded(creation("/a"), index, None)
        assert progress.etcd_index == then
    assert progress.endpoint is None
    progress.succeeded(creation("/a"), 9, "http://e")
    progress.succeeded(creation("/a"), 9, None)
    assert progress.endpoint == "http://e"
