# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _backups, _carry_out, _deps, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import Incomplete, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree
from ansible_collections.quorum.etcd.plugins.modules.etcd_tree import ARGUMENT_SPEC
from ansible_collections.quorum.etcd.tests.unit.fakes.options import defaults
from ansible_collections.quorum.etcd.tests.unit.fakes.store import (
    FakeStore,
    after,
    before,
    delivered,
    lost_after,
    lost_before,
    raising,
)

UNSET = defaults(ARGUMENT_SPEC)

FOUR = {"a": "1", "b": "2", "c": "3", "d": "4"}


class Task:
    """A wish for /t, and a store to bring it about in."""

    def __init__(self, tree=None, faults=(), has=None, **options):
        self.store = FakeStore()
        for key, value in (has or {}).items():
            self.store.put(key, value)
        self.store.faults.extend(faults)
        # One after the other, unless a test is about writes that are under way together.
        options.setdefault("concurrency", 1)
        self.options = dict(UNSET, path="/t", tree=tree, **options)

    def run(self, *, apply=True):
        return manage_tree(self.options, lambda: self.store, apply=apply)

    def fail(self):
        with pytest.raises(Incomplete) as caught:
            self.run()
        return caught.value

    @property
    def values(self):
        return {key: one["value"] for key, one in self.store.nodes.items() if "value" in one}


def below(**values):
    return {"/t/" + name: value for name, value in values.items()}


def test_first_run_and_second():
    task = Task(FOUR)
    report = task.run()
    assert report["changed"]
    assert report["counts"]["created"] == 4 == sum(report["counts"].values())
    assert report["done"] == ["/t/a", "/t/b", "/t/c", "/t/d"]
    assert report["etcd_index"] == task.store.index
    assert task.values == below(**FOUR)
    assert task.store.reads == 1
    again = task.run()
    assert not again["changed"]
    assert again["done"] == []
    assert task.store.reads == 2
    assert task.store.sends == 4


def test_check_mode_predicts_and_writes_nothing():
    task = Task(FOUR, has={"/t/a": "x", "/t/z": "z"}, purge=True)
    index = task.store.index
    predicted = task.run(apply=False)
    assert (task.store.index, task.store.sends, task.store.reads) == (index, 0, 1)
    done = task.run()
    assert predicted["diff"]() == done["diff"]()
    for name in ("changed", "counts", "done", "directory"):
        assert predicted[name] == done[name]


@pytest.mark.parametrize("count, concurrency, used", [(4, 16, 4), (4, 2, 2), (1, 16, 1)])
def test_no_more_connections_than_writes(count, concurrency, used):
    task = Task(dict(list(FOUR.items())[:count]), concurrency=concurrency)
    task.run()
    assert task.store.batches == [used]


def test_one_stage_after_the_other():
    task = Task({"d": "value"}, has={"/t/d/e/x": "x", "/t/z": "z"}, force=True, purge=True)
    task.run()
    assert task.store.commits == [
        "compareAndDelete",
        "delete",
        "delete",
        "create",
        "compareAndDelete",
    ]
    assert task.values == {"/t/d": "value"}


@pytest.mark.parametrize("fault", [lost_before, lost_after])
@pytest.mark.parametrize("place", range(4))
def test_a_lost_answer_is_settled_and_the_rest_goes_on(place, fault):
    task = Task(FOUR, faults=[delivered] * place + [fault])
    report = task.run()
    assert report["counts"]["created"] == 4
    assert sorted(report["done"]) == sorted(below(**FOUR))
    assert task.values == below(**FOUR)
    assert task.store.commits == ["create"] * 4


def test_a_lost_answer_far_into_a_batch_needs_no_long_history():
    """What was written before the write was sent says nothing of it, and may be forgotten."""
    task = Task(FOUR)

    def forget_and_lose(commit):
        task.store.forget()
        return lost_after(commit)

    task.store.faults.extend([delivered, delivered, forget_and_lose])
    assert task.run()["counts"]["created"] == 4


def test_no_way_to_tell():
    task = Task(FOUR)
    task.store.faults.extend([delivered, before(task.store.forget, lost_after)])
    failure = task.fail()
    (failed,) = failure.report["failed_keys"]
    assert (failed["key"], failed["outcome"]) == ("/t/b", "unknown")
    assert "forgotten" in failed["reason"]
    assert failure.report["done"] == ["/t/a"]
    assert failure.report["not_tried"] == ["/t/c", "/t/d"]
    assert failure.changed


def test_an_endpoint_that_takes_nothing():
    task = Task(FOUR)
    task.store.refusals = 2
    assert task.run()["counts"]["created"] == 4
    assert task.store.batches == [1, 1, 1]


def test_a_failure_part_way():
    refused = raising(errors.EtcdUnauthorized("no", endpoint="http://fake:2379"))
    task = Task(FOUR, faults=[delivered, refused], has={"/t/z": "z"}, purge=True)
    failure = task.fail()
    assert failure.changed
    assert failure.report["done"] == ["/t/a"]
    assert [one["key"] for one in failure.report["failed_keys"]] == ["/t/b"]
    assert failure.report["failed_keys"][0]["outcome"] == "not_done"
    assert failure.report["failed_keys"][0]["error"] == "EtcdUnauthorized"
    assert failure.report["not_tried"] == ["/t/c", "/t/d", "/t/z"]
    assert "create of /t/b failed" in str(failure)
    assert "1 writes done, 1 failed, 0 lost to another writer, 3 not tried" in str(failure)
    # Every key is as it was or as it should be, and the next run does the rest.
    assert task.values == {"/t/a": "1", "/t/z": "z"}
    assert task.run()["done"] == ["/t/b", "/t/c", "/t/d", "/t/z"]


def test_a_failure_of_the_first_write_changes_nothing():
    task = Task(FOUR, faults=[raising(errors.EtcdUnauthorized("no"))])
    failure = task.fail()
    assert not failure.changed
    assert failure.report["not_tried"] == ["/t/b", "/t/c", "/t/d"]


def test_a_lost_race_is_planned_anew():
    task = Task(FOUR, has={"/t/b": "old", "/t/z": "z"}, purge=True)
    task.store.faults.extend([delivered, after(lambda: task.store.put("/t/b", "other"))])
    report = task.run()
    assert report["changed"]
    assert task.values == below(**FOUR)
    assert sorted(report["done"]) == sorted([*below(**FOUR), "/t/z"])
    assert task.store.reads == 2


def test_a_race_that_another_won_with_the_same_value():
    task = Task({"a": "1"})
    task.store.faults.append(after(lambda: task.store.put("/t/a", "1")))
    assert not task.run()["changed"]


def test_a_lost_race_is_final_where_it_is_to_be():
    task = Task(FOUR, on_conflict="fail")
    task.store.faults.extend([delivered, after(lambda: task.store.put("/t/b", "other"))])
    failure = task.fail()
    assert [one["key"] for one in failure.report["failed_keys"]] == ["/t/b"]
    assert "changed by another writer" in failure.report["failed_keys"][0]["reason"]
    assert task.store.value("/t/b") == "other"
    assert failure.report["not_tried"] == ["/t/c", "/t/d"]


def accounts(report):
    """What became of each key, of a report of a failure."""
    found = {
        "done": report["done"],
        "failed": [one["key"] for one in report["failed_keys"]],
        "lost": report["lost"],
        "not_tried": report["not_tried"],
    }
    keys = [key for some in found.values() for key in some]
    assert len(keys) == len(set(keys)), "each is in one list"
    return {name: some for name, some in found.items() if some}


def test_one_key_is_lost_and_another_one_fails():
    task = Task(FOUR, has={"/t/z": "z"}, purge=True)
    refused = raising(errors.EtcdUnauthorized("no"))
    task.store.faults.extend([after(lambda: task.store.put("/t/a", "other")), refused])
    failure = task.fail()
    assert accounts(failure.report) == {
        "failed": ["/t/b"],
        "lost": ["/t/a"],
        "not_tried": ["/t/c", "/t/d", "/t/z"],
    }
    assert "0 writes done, 1 failed, 1 lost to another writer, 3 not tried" in str(failure)
    assert not failure.changed


def test_the_tree_cannot_be_read_again():
    task = Task(FOUR, has={"/t/z": "z"}, purge=True)
    task.store.faults.append(after(lambda: task.store.put("/t/a", "other")))

    def fail():
        raise errors.EtcdUnreachable("no endpoint answered")

    task.store.before_read.extend([lambda: None, fail])
    failure = task.fail()
    assert accounts(failure.report) == {
        "done": ["/t/b", "/t/c", "/t/d"],
        "failed": ["/t/a"],
        "not_tried": ["/t/z"],
    }
    assert "no endpoint answered" in str(failure)


def test_the_tree_cannot_be_read_again_after_a_refresh_in_doubt():
    task = Task({"a": "1"}, ttl=60, faults=[lost_after], has={"/t/a": "1"})

    def fail():
        raise errors.EtcdUnreachable("no endpoint answered")

    task.store.before_read.extend([lambda: None, lambda: None, fail])
    failure = task.fail()
    assert accounts(failure.report) == {"failed": ["/t/a"]}
    assert failure.report["failed_keys"][0]["outcome"] == "unknown"


def test_another_client_that_is_always_faster_with_one_key():
    task = Task({"a": "1", "b": "2"}, has={"/t/z": "z"}, purge=True)
    numbers = iter(range(100))

    def faster(commit):
        task.store.put("/t/a", "other%d" % next(numbers))
        return delivered(commit)

    task.store.faults.extend([faster, delivered] + [faster] * 9)
    failure = task.fail()
    assert accounts(failure.report) == {
        "done": ["/t/b"],
        "failed": ["/t/a"],
        "not_tried": ["/t/z"],
    }


def test_another_client_that_is_as_often_faster_and_ends_with_what_is_wished():
    task = Task({"a": "1"})
    values = iter(["x%d" % one for one in range(_carry_out.ATTEMPTS - 1)] + ["1"])
    task.store.faults.extend(
        [after(lambda: task.store.put("/t/a", next(values)))] * _carry_out.ATTEMPTS
    )
    assert not task.run()["changed"]


def test_an_outcome_that_is_unknown_names_the_index_that_was_found():
    task = Task(FOUR, on_conflict="fail")
    task.store.faults.append(after(lambda: task.store.create("/t/a", "1"), lost_before))
    failure = task.fail()
    (failed,) = failure.report["failed_keys"]
    assert (failed["key"], failed["outcome"]) == ("/t/a", "unknown")
    assert failed["etcd_index"] == 11
    assert "at the index 11" in failed["reason"]


def test_an_equal_write_is_enough_for_a_tree_that_may_meet_others():
    task = Task({"a": "1"})
    task.store.faults.append(after(lambda: task.store.create("/t/a", "1"), lost_before))
    assert task.run()["done"] == ["/t/a"]


def test_a_refresh_in_doubt_is_read_again_and_counts():
    task = Task({"a": "1", "b": "2"}, ttl=60, faults=[lost_after], has={"/t/a": "1", "/t/b": "2"})
    report = task.run()
    assert sorted(report["done"]) == ["/t/a", "/t/b"]
    assert report["counts"]["refreshed"] == 2
    assert (task.store.sends, task.store.reads) == (2, 3)


def test_a_refresh_in_doubt_and_a_failure():
    task = Task({"a": "1", "b": "2"}, ttl=60, has={"/t/a": "1", "/t/b": "2"}, concurrency=2)
    task.store.faults.extend([lost_after, raising(errors.EtcdUnauthorized("no"))])
    failure = task.fail()
    assert accounts(failure.report) == {"failed": ["/t/b", "/t/a"]}
    outcomes = {one["key"]: one["outcome"] for one in failure.report["failed_keys"]}
    assert outcomes == {"/t/a": "unknown", "/t/b": "not_done"}
    assert "2 failed, 0 lost" in str(failure)


def lines(report):
    (diff,) = report["diff"]()
    return diff["before"].splitlines(), diff["after"].splitlines()


def test_the_diff_shows_what_was_done_after_a_second_plan():
    task = Task({"a": "1", "b": "2", "c": "3"}, has={"/t/b": "old"})
    task.store.faults.extend(
        [
            after(lambda: task.store.put("/t/a", "1")),  # as wished, so not ours
            after(lambda: task.store.put("/t/b", "theirs")),  # replaced by the second plan
        ]
    )
    report = task.run()
    assert sorted(report["done"]) == ["/t/b", "/t/c"]
    seen_before, seen_after = lines(report)
    assert "/t/b = theirs" in seen_before and "/t/b = old" not in seen_before
    assert "/t/b = 2" in seen_after and "/t/c = 3" in seen_after
    assert not [line for line in seen_before + seen_after if line.startswith("/t/a ")]


def test_the_diff_of_what_another_client_removed():
    task = Task({}, has={"/t/a": "1", "/t/b": "2"}, purge=True, purge_all=True)
    task.store.faults.append(after(lambda: task.store.remove("/t/a")))
    report = task.run()
    assert report["done"] == ["/t/b"]
    seen_before, seen_after = lines(report)
    assert "/t/b = 2" in seen_before
    assert [line for line in seen_after if line.startswith("/t/b")] == []


def test_a_writer_that_is_always_faster():
    task = Task({"a": "1"})
    numbers = iter(range(100))
    task.store.faults.extend(
        [after(lambda: task.store.put("/t/a", "other%d" % next(numbers)))] * 20
    )
    failure = task.fail()
    assert not failure.changed
    assert "another writer was faster" in failure.report["failed_keys"][0]["reason"]
    assert task.store.sends == _carry_out.ATTEMPTS


def test_a_directory_in_which_another_writes():
    task = Task({}, has={"/t/d/x": "x"}, purge=True, purge_all=True)
    task.store.faults.extend([delivered, after(lambda: task.store.put("/t/d/new", "new"))])
    task.run()
    assert task.values == {}
    assert "/t/d" not in task.store.nodes


def test_a_directory_that_is_never_empty():
    task = Task({}, has={"/t/d/x": "x"}, purge=True, purge_all=True)
    refused = raising(errors.EtcdDirNotEmpty("not empty"))
    task.store.faults.extend([delivered, refused, refused])
    failure = task.fail()
    assert failure.changed
    assert "/t/d is not empty, though a listing shows no children" in str(failure)
    assert "include_hidden: true" in str(failure)
    assert accounts(failure.report) == {"done": ["/t/d/x"], "failed": ["/t/d"]}


def test_a_limit_holds_for_all_that_is_planned_again():
    task = Task({"a": "1"}, has=below(a="1", d="x", e="x"), purge=True, purge_limit=2)
    task.store.faults.extend(
        [delivered, after(lambda: [task.store.put("/t/e", "y"), task.store.put("/t/f", "y")])]
    )
    failure = task.fail()
    assert failure.report["done"] == ["/t/d"]
    assert "3 keys and directories would be removed, and purge_limit is 2" in str(failure)
    assert task.values == below(a="1", e="y", f="y")


@pytest.mark.parametrize("apply", [True, False])
def test_more_would_be_removed_than_may_be(apply):
    task = Task({"a": "2"}, has=below(a="1", d="x", e="x"), purge=True, purge_limit=1)
    with pytest.raises(Refusal):
        task.run(apply=apply)
    assert task.store.sends == 0


def test_patterns_that_match_nothing_are_warned_of():
    task = Task({"db": {"password": "x"}, "a": "1"}, has=below(a="1", lock="x"), purge=True)
    task.options.update(secret_keys=["password", "pasword"], purge_exclude=["lock", "/password"])
    assert task.run()["warnings"] == [
        'the pattern "%s" of %s matches no key below /t, neither of those that are there nor of the'
        " tree" % pattern
        for pattern in (("pasword", "secret_keys"), ("/password", "purge_exclude"))
    ]


def test_hidden_keys_are_read_by_name():
    task = Task({"_a": {"b": "1"}, "c": "2"}, include_hidden=True, has={"/t/_a/b": "1"})
    report = task.run()
    assert report["done"] == ["/t/c"]
    assert task.store.reads == 2


def test_what_is_too_long_is_refused_before_anything_is_sent():
    for tree, says in (
        ({"a": "1", "b" * 4000: "x"}, "shorten the key"),
        ({"a": "1", "z": "x" * 11000000}, "split it"),
    ):
        task = Task(tree)
        with pytest.raises(errors.ClientException, match=says):
            manage_tree(task.options, lambda task=task: _Composing(task.store), apply=True)
        assert task.store.sends == 0


class _Composing:
    """The store, with the client's own composer: it knows what can be sent."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def composer(self):
        from ansible_collections.quorum.etcd.plugins.module_utils._api.keys import Composer

        return Composer("v2")


@pytest.mark.parametrize("number", [0, -1, 65])
def test_concurrency_has_bounds(number):
    task = Task(FOUR, concurrency=number)
    with pytest.raises(Refusal, match="from 1 to 64"):
        task.run()
    assert task.store.reads == 0


def test_a_file(tmp_path):
    path = tmp_path / "tree.json"
    path.write_text(json.dumps({"a": {"b": 1}}), encoding="utf-8")
    task = Task(src=str(path))
    task.run()
    assert task.values == {"/t/a/b": "1"}


@pytest.mark.parametrize(
    "content, options, says",
    [
        (b"{}", {"tree": {}}, "tree and src exclude each other"),
        (None, {}, "cannot be read"),
        (b"\xff", {}, "is not valid UTF-8"),
        (b"", {}, "is empty; write {}"),
        (b"[1]", {}, "the tree is a list"),
        (b'{"a": ', {}, "is not JSON"),
    ],
)
def test_files_that_are_refused(tmp_path, content, options, says):
    path = tmp_path / "tree.json"
    if content is not None:
        path.write_bytes(content)
    if content == b"":
        path = path.rename(tmp_path / "tree.yml")
    task = Task(src=str(path), **options)
    with pytest.raises(Refusal, match=says):
        task.run()
    assert task.store.reads == 0


BACKUP = _backups.document(
    _backups.Backup(
        "/",
        (),
        "id",
        9,
        "now",
        {
            "/t": _backups.Saved(None, 60, "then"),
            "/t/a": _backups.Saved("1", 30, "then"),
            "/t/b": _backups.Saved("2"),
        },
    )
)


def test_a_backup():
    task = Task(BACKUP, src_format="backup")
    report = task.run()
    assert report["warnings"] == []
    assert task.store.commits == ["create"] * 3
    assert [task.store.nodes[key].get("ttl") for key in ("/t", "/t/a", "/t/b")] == [60, 30, None]
    assert not task.run()["changed"]


def test_a_directory_that_keeps_its_ttl_is_told():
    task = Task(BACKUP, src_format="backup", has={"/t/a": "1"})
    report = task.run()
    assert report["counts"]["refreshed"] == 1
    (warning,) = report["warnings"]
    assert "directories that exist keep another TTL" in warning
    assert warning.endswith(": /t")


@pytest.mark.parametrize(
    "document, says",
    [
        (None, "src_format: backup needs src"),
        ({"a": "1"}, "this is no backup"),
        (dict(BACKUP, etcd_index=10), "the backup is damaged"),
    ],
)
def test_backups_that_are_refused(document, says):
    task = Task(document, src_format="backup")
    with pytest.raises(Refusal, match=says):
        task.run()
    assert task.store.reads == 0


def test_a_backup_is_no_tree():
    task = Task(BACKUP)
    with pytest.raises(Refusal, match="src_format: backup restores it"):
        task.run()


def test_a_failure_part_way_does_not_warn():
    refused = raising(errors.EtcdUnauthorized("no"))
    task = Task(BACKUP, faults=[refused], src_format="backup", has={"/t/b": "2"})
    assert "warnings" not in task.fail().report


def test_what_stopped_it_part_way_is_the_cause():
    refused = raising(errors.EtcdUnauthorized("no"))
    caught = Task(FOUR, faults=[refused]).fail()
    assert isinstance(caught.__cause__, errors.EtcdUnauthorized)


def test_a_damaged_backup_is_no_yaml_and_needs_no_pyyaml(tmp_path, monkeypatch):
    def missing():
        raise _deps.MissingLibrary("PyYAML", "")

    monkeypatch.setattr(_deps, "load_yaml", missing)
    for content in ("{cut off", "a: yaml"):
        (tmp_path / "backup").write_text(content, encoding="utf-8")
        task = Task(src=str(tmp_path / "backup"), src_format="backup")
        with pytest.raises(Refusal, match="backup is not JSON"):
            task.run()
