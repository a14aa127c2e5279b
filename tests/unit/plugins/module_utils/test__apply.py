# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _apply, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    Incomplete,
    KeyAction,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._plan import dir as dir_plan
from ansible_collections.quorum.etcd.plugins.module_utils._plan import key as key_plan
from ansible_collections.quorum.etcd.plugins.modules import etcd_dir, etcd_key
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

KEY, DIR = "/app/k", "/app/d"


KEY_OPTIONS = dict(defaults(etcd_key.ARGUMENT_SPEC), key=KEY, value="new")

DIR_OPTIONS = defaults(etcd_dir.ARGUMENT_SPEC)


class Task:
    """A wish for KEY or DIR, and a store to bring it about in."""

    def __init__(self, value=None, faults=(), is_dir=False, **wish):
        self.store = FakeStore()
        if value is not None:
            self.store.put(KEY, value, ttl=wish.pop("has_ttl", None))
        if is_dir:
            self.store.put_dir(DIR)
        self.store.faults.extend(faults)
        self._wish = wish
        self.plans = 0

    def plan(self, current):
        self.plans += 1
        if "path" in self._wish:
            wish = dir_plan.wish_from_options(dict(DIR_OPTIONS, **self._wish))
            return dir_plan.plan(current, wish)
        wish = key_plan.wish_from_options(dict(KEY_OPTIONS, **self._wish))
        return key_plan.plan(current, wish)

    @property
    def key(self):
        return self._wish.get("path", KEY)

    def run(self, recursive=False):
        return _apply.converge(self.store, self.key, self.plan, recursive=recursive)

    def preview(self):
        return _apply.preview(self.store, self.key, self.plan)

    def fail(self, expected):
        with pytest.raises(expected) as caught:
            self.run()
        return caught.value


def file_task(**wish):
    """A task on the directory DIR where a key with a value stands."""
    task = Task(path=DIR, **wish)
    task.store.put(DIR, "file")
    return task


#: Each kind of write that carries a condition: what is there, what is wished, what is there then.
WRITES = {
    "create": (None, {}, "create", "new", None),
    "swap": ("old", {}, "compareAndSwap", "new", None),
    "refresh": ("new", {"ttl": 60}, "update", "new", 60),
    "take the ttl away": ("new", {"has_ttl": 50, "ttl": 0}, "compareAndSwap", "new", None),
    "delete": ("old", {"state": "absent"}, "compareAndDelete", None, None),
}


@pytest.fixture(params=sorted(WRITES))
def write(request):
    return WRITES[request.param]


def start(write, *faults):
    value, wish, commit, then, ttl = write
    return Task(value, faults, **wish), commit, then, ttl


def check(task, outcome, commit, then, ttl, sends):
    """The write was carried out exactly once, and is reported as a change."""
    assert outcome.action.changes
    assert task.store.commits == [commit]
    assert task.store.sends == sends
    assert task.store.value(KEY) == then
    assert task.store.nodes.get(KEY, {}).get("ttl") == ttl


# -- without disturbance


def test_a_write_that_is_answered(write):
    task, commit, then, ttl = start(write)
    outcome = task.run()
    check(task, outcome, commit, then, ttl, sends=1)
    assert outcome.node.modified_index == outcome.etcd_index == task.store.index
    assert (outcome.endpoint, task.store.reads, task.plans) == ("http://fake:2379", 1, 1)


def test_a_second_run_changes_nothing(write):
    task, commit, then, ttl = start(write)
    task.run()
    index = task.store.index
    assert not task.run().action.changes
    assert (task.store.index, task.store.sends) == (index, 1)


def test_a_preview_writes_nothing_and_plans_the_same(write):
    task, unused, then, ttl = start(write)
    index = task.store.index
    previewed = task.preview()
    assert (task.store.index, task.store.sends) == (index, 0)
    assert previewed.node is None
    done = task.run()
    assert (previewed.action, previewed.reading) == (done.action, done.reading)


def test_a_preview_of_an_in_order_key_writes_nothing():
    task = Task(state="enqueued")
    assert task.preview().action.kind is ActionKind.ENQUEUE
    assert task.store.sends == 0


def test_nothing_to_do_sends_nothing():
    task = Task("new")
    outcome = task.run()
    assert outcome.action.kind is ActionKind.NOTHING
    assert (task.store.sends, outcome.etcd_index) == (0, task.store.index)


def test_what_was_read_is_what_was_planned_on():
    task = Task("old", has_ttl=50)
    state = task.run().reading.state
    assert (state.value, state.ttl) == ("old", 50)
    assert (state.created_index, state.modified_index) == (11, 11)


def test_a_kept_ttl_is_written_again():
    task = Task("old", has_ttl=50)
    task.run()
    assert task.store.nodes[KEY]["ttl"] == 50


def test_an_in_order_key_is_new_each_time():
    task = Task(state="enqueued")
    first, second = task.run(), task.run()
    assert first.node.key < second.node.key
    assert first.node.key.startswith(KEY + "/")
    assert task.store.commits == ["create", "create"]


def test_a_key_below_a_key_is_refused():
    task = Task()
    task.store.put("/app", "file")
    assert "is a key with a value, not a directory" in str(task.fail(Refusal))
    assert task.store.sends == 0


# -- other writers


def test_who_loses_a_race_reads_and_plans_again(write):
    task, commit, then, ttl = start(write)
    theirs = task.store.value(KEY) or "theirs"
    task.store.faults.append(after(lambda: task.store.put(KEY, theirs, ttl=70)))
    outcome = task.run()
    if commit == "create":
        commit = "compareAndSwap"
    if then is not None and "ttl" not in write[1]:
        ttl = 70  # theirs is kept
    check(task, outcome, commit, then, ttl, sends=2)
    assert task.plans == 2
    assert outcome.action.before.modified_index == task.store.index - 1


def test_another_writer_may_have_done_what_was_wished():
    task = Task("old")
    task.store.faults.append(after(lambda: task.store.put(KEY, "new")))
    assert not task.run().action.changes
    assert task.store.commits == []


def test_another_writer_may_have_deleted_the_key():
    task = Task("old")
    task.store.faults.append(after(lambda: task.store.remove(KEY)))
    assert task.run().action.kind is ActionKind.CREATE


def test_another_writer_may_have_deleted_what_was_to_be_deleted():
    task = Task("old", state="absent")
    task.store.faults.append(after(lambda: task.store.remove(KEY)))
    assert not task.run().action.changes


def test_another_writer_may_have_made_a_directory_of_it():
    task = Task()
    task.store.faults.append(after(lambda: task.store.put_dir(KEY)))
    assert "is a directory" in str(task.fail(Refusal))


def test_a_condition_of_the_user_is_checked_again_after_a_lost_race():
    task = Task("old", prev_value="old")
    task.store.faults.append(after(lambda: task.store.put(KEY, "theirs")))
    assert "its value is not prev_value" in str(task.fail(Refusal))
    assert task.store.commits == []


def test_who_loses_every_race_gives_up():
    task = Task("old")
    task.store.faults.extend(
        after(lambda: task.store.put(KEY, "theirs")) for unused in range(_apply.ATTEMPTS)
    )
    exc = task.fail(errors.EtcdConflict)
    assert task.store.sends == _apply.ATTEMPTS
    assert task.store.commits == []
    assert "in each of %d attempts" % _apply.ATTEMPTS in exc.message
    assert "modified index is now %d" % task.store.index in exc.message
    assert "theirs" not in str(exc)
    assert (exc.index, exc.endpoint) == (task.store.index, "http://fake:2379")


def test_the_last_attempt_can_win():
    task = Task("old")
    task.store.faults.extend(
        after(lambda: task.store.put(KEY, "theirs")) for unused in range(_apply.ATTEMPTS - 1)
    )
    assert task.run().action.changes


# -- lost answers


def test_a_lost_answer_to_a_write_that_was_carried_out(write):
    task, commit, then, ttl = start(write, lost_after)
    outcome = task.run()
    check(task, outcome, commit, then, ttl, sends=1)
    # A refresh leaves no event, so the key is looked at once more.
    assert task.plans == (2 if commit == "update" else 1)


def test_a_lost_request_is_sent_again(write):
    task, commit, then, ttl = start(write, lost_before)
    outcome = task.run()
    check(task, outcome, commit, then, ttl, sends=2)
    assert task.plans == 1


def test_several_lost_requests_and_then_a_lost_answer(write):
    task, commit, then, ttl = start(write, lost_before, lost_before, lost_before, lost_after)
    check(task, task.run(), commit, then, ttl, sends=4)


def test_a_write_that_is_lost_each_time_stays_unknown(write):
    task, unused, then, ttl = start(write, *[lost_before] * 50)
    task.fail(errors.EtcdOutcomeUnknown)
    assert task.store.sends == _apply.ATTEMPTS
    assert task.store.commits == []


@pytest.mark.parametrize("name", ["create", "swap", "take the ttl away", "delete"])
@pytest.mark.parametrize("other", ["put", "remove", "put and remove", "twice"])
def test_a_lost_answer_and_another_writer_after_us(name, other):
    """What we wrote is gone again, and still it was carried out, as the history tells."""
    task, commit, unused, ttl = start(WRITES[name])

    def interfere():
        if other != "remove" or task.store.value(KEY) is None:
            task.store.put(KEY, "theirs")
        if "remove" in other:
            task.store.remove(KEY)
        if other == "twice":
            task.store.put(KEY, "again")

    task.store.faults.append(before(interfere, lost_after))
    outcome = task.run()
    assert outcome.action.changes
    assert (task.store.commits, task.store.sends, task.plans) == ([commit], 1, 1)
    assert outcome.node.value == outcome.action.value


def test_a_lost_answer_whose_parent_was_removed_afterwards():
    task = Task()
    task.store.faults.append(before(lambda: task.store.remove("/app"), lost_after))
    assert task.run().node.value == "new"
    assert task.store.sends == 1


@pytest.mark.parametrize("name", ["swap", "take the ttl away", "refresh"])
def test_a_lost_request_and_another_writer_who_won(name):
    task, commit, then, ttl = start(WRITES[name])
    task.store.faults.append(after(lambda: task.store.put(KEY, "theirs"), lost_before))
    outcome = task.run()
    assert outcome.action.before.value == "theirs"
    assert (task.plans, task.store.sends, len(task.store.commits)) == (2, 2, 1)
    assert task.store.value(KEY) == then


def test_a_lost_create_and_another_writer_who_won():
    task = Task(faults=[lost_before])
    task.store.faults[0] = after(lambda: task.store.put(KEY, "theirs"), lost_before)
    outcome = task.run()
    assert (outcome.action.kind, outcome.action.before.value) == (ActionKind.SWAP, "theirs")
    assert task.store.commits == ["compareAndSwap"]


def test_a_lost_create_and_another_writer_who_came_and_went():
    task = Task()

    def interfere():
        task.store.put(KEY, "theirs")
        task.store.remove(KEY)

    task.store.faults.append(after(interfere, lost_before))
    outcome = task.run()
    assert outcome.action.kind is ActionKind.CREATE
    assert (task.store.commits, task.store.sends) == (["create"], 2)


def test_a_lost_delete_and_another_writer_who_did_it():
    task = Task("old", state="absent")
    task.store.faults.append(after(lambda: task.store.remove(KEY), lost_before))
    assert not task.run().action.changes
    assert task.store.commits == []


def test_a_lost_request_and_another_writer_who_wrote_the_same_later():
    """The first write after the index that ours was planned on decides."""
    task = Task("old")

    def interfere():
        task.store.put(KEY, "theirs")
        task.store.swap(KEY, "new")

    task.store.faults.append(after(interfere, lost_before))
    assert not task.run().action.changes
    assert task.store.commits == []


def test_a_lost_request_and_a_refresh_by_another_writer():
    """A refresh moves the index and makes no event."""
    task = Task("old")
    task.store.faults.append(after(lambda: task.store.refresh(KEY, 99), lost_before))
    check(task, task.run(), "compareAndSwap", "new", 99, sends=2)
    assert task.plans == 2


class Straggler:
    """A first copy that is stuck on its way and lands later than its sender knows."""

    def __init__(self):
        self.commit = None

    def hold(self, commit):
        self.commit = commit
        return lost_before(commit)

    def land(self):
        self.commit()

    def land_before(self, commit):
        self.land()
        return commit()


def test_a_late_first_copy_lands_just_before_the_second(write):
    straggler = Straggler()
    task, commit, then, ttl = start(write, straggler.hold, straggler.land_before)
    check(task, task.run(), commit, then, ttl, sends=2)


def test_a_late_first_copy_lands_after_the_second(write):
    straggler = Straggler()
    task, commit, then, ttl = start(write, straggler.hold)
    check(task, task.run(), commit, then, ttl, sends=2)
    with pytest.raises((errors.EtcdTestFailed, errors.EtcdNodeExist, errors.EtcdKeyNotFound)):
        straggler.commit()
    assert task.store.commits == [commit]


def test_a_late_first_copy_lands_and_another_writer_overwrites_it():
    straggler = Straggler()
    task = Task("old", [straggler.hold])

    def land():
        straggler.commit()
        task.store.put(KEY, "theirs")

    task.store.faults.append(after(land))
    outcome = task.run()
    assert outcome.node.value == "new"
    assert task.store.commits == ["compareAndSwap"]
    assert task.store.value(KEY) == "theirs"


def test_a_late_first_copy_lands_while_it_is_settled(write):
    straggler = Straggler()
    task, commit, then, ttl = start(write, straggler.hold)
    task.store.before_read.extend([lambda: None, straggler.land])
    check(task, task.run(), commit, then, ttl, sends=1)


# -- when there is no telling


def test_a_history_that_is_forgotten_cannot_tell():
    task = Task("old")

    def much_later():
        task.store.put(KEY, "theirs")
        task.store.forget()

    task.store.faults.append(before(much_later, lost_after))
    exc = task.fail(errors.EtcdOutcomeUnknown)
    assert "the server has forgotten what happened since" in exc.message
    assert exc.message.startswith("sent, and no answer")
    assert exc.endpoint == "http://fake:2379"
    assert task.store.sends == 1


@pytest.mark.parametrize(
    "trouble",
    [
        errors.EtcdUnreachable("no endpoint answered"),
        errors.EtcdTimeout("no endpoint answered"),
        errors.EtcdTLSFailure("no endpoint answered"),
        errors.EtcdServerError("HTTP 502"),
        errors.EtcdRaftInternal("no quorum"),
        errors.EtcdLeaderElect("electing"),
        errors.EtcdInvalidResponse("a login page"),
        errors.EtcdUnauthorized("Insufficient credentials"),
        errors.EtcdV2NotServed("not here"),
    ],
    ids=lambda exc: type(exc).__name__,
)
@pytest.mark.parametrize("fault", [lost_before, lost_after])
def test_a_lost_write_that_cannot_be_read_back_stays_unknown(trouble, fault):
    task = Task("old", [fault])

    def fail():
        raise trouble

    task.store.before_read.extend([lambda: None, fail])
    exc = task.fail(errors.EtcdOutcomeUnknown)
    assert trouble.message in exc.message
    assert task.store.sends == 1


@pytest.mark.parametrize(
    "trouble",
    [
        errors.EtcdUnreachable("no endpoint answered"),
        errors.EtcdTimeout("no endpoint answered"),
        errors.EtcdUnauthorized("Insufficient credentials"),
        errors.EtcdV2NotServed("not here"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_a_lost_write_that_cannot_be_sent_again_stays_unknown(trouble):
    """The first copy may still be on its way."""
    task = Task("old", [lost_before, raising(trouble)])
    exc = task.fail(errors.EtcdOutcomeUnknown)
    assert trouble.message in exc.message


def test_an_error_of_the_first_write_is_raised_as_it_is():
    for trouble in (errors.EtcdUnreachable("down"), errors.EtcdUnauthorized("no")):
        task = Task("old", [raising(trouble)])
        assert task.fail(type(trouble)) is trouble


# -- directories


DIR_WRITES = {
    "make": (False, {}, "create"),
    "set ttl": (True, {"ttl": 60}, "update"),
    "remove": (True, {"state": "absent"}, "delete"),
}


@pytest.fixture(params=sorted(DIR_WRITES))
def dir_write(request):
    return DIR_WRITES[request.param]


def start_dir(dir_write, *faults):
    there, wish, commit = dir_write
    return Task(faults=faults, is_dir=there, path=DIR, **wish), commit


@pytest.mark.parametrize("fault", [delivered, lost_after, lost_before])
def test_a_directory_is_written_exactly_once(dir_write, fault):
    task, commit = start_dir(dir_write, fault)
    if fault is lost_before and commit != "create":
        # The server takes no condition for it, so it is not sent again.
        task.fail(errors.EtcdOutcomeUnknown)
        assert (task.store.commits, task.store.sends) == ([], 1)
        return
    assert task.run().action.changes
    assert (task.store.commits, task.store.sends) == ([commit], 2 if fault is lost_before else 1)
    index = task.store.index
    assert not task.run().action.changes
    assert task.store.index == index


def test_a_directory_that_another_writer_made_is_no_change():
    task = Task(path=DIR)
    task.store.faults.append(after(lambda: task.store.put_dir(DIR)))
    assert not task.run().action.changes


def test_a_directory_that_another_writer_removed_is_no_change():
    task = Task(is_dir=True, path=DIR, state="absent")
    task.store.faults.append(after(lambda: task.store.remove(DIR)))
    assert not task.run().action.changes


def test_children_are_seen():
    for recursive, seen in ((False, (DIR + "/a",)), (True, (DIR + "/a", DIR + "/a/b"))):
        task = Task(path=DIR)
        task.store.put(DIR + "/a/b", "v")
        assert task.run(recursive=recursive).action.before.children == seen


def test_a_full_directory_is_removed_with_all_that_is_in_it_only_where_that_is_wished():
    task = Task(path=DIR, state="absent", recursive=True)
    task.store.put(DIR + "/a/b", "v")
    assert task.run().action.changes
    assert list(task.store.nodes) == ["/app"]


def test_a_child_that_came_just_now_is_not_removed():
    task = Task(is_dir=True, path=DIR, state="absent")
    task.store.faults.append(after(lambda: task.store.put(DIR + "/a", "v")))
    assert "is not empty, though a listing shows no children" in str(task.fail(Refusal))
    assert task.store.value(DIR + "/a") == "v"


def test_a_key_that_was_removed_in_the_place_of_a_directory_is_confessed():
    task = Task(is_dir=True, path=DIR, state="absent")

    def interfere():
        task.store.remove(DIR)
        task.store.put(DIR, "file")

    task.store.faults.append(after(interfere))
    assert "was deleted in its stead" in task.fail(errors.EtcdConflict).message


def test_a_key_is_replaced_by_a_directory_as_one_change():
    task = file_task(force=True)
    outcome = task.run()
    assert (outcome.action.kind, outcome.action.before.value) == (ActionKind.DELETE, "file")
    assert outcome.node.dir and outcome.node.key == DIR
    assert task.store.commits == ["compareAndDelete", "create"]


@pytest.mark.parametrize(
    "faults",
    [[lost_after, delivered], [lost_before, delivered, lost_after], [delivered, lost_before]],
)
def test_a_replacement_survives_lost_answers(faults):
    task = file_task(force=True)
    task.store.faults.extend(faults)
    task.run()
    assert task.store.commits == ["compareAndDelete", "create"]


def test_a_key_that_changed_is_not_replaced_blindly():
    task = file_task(force=True)
    task.store.faults.append(after(lambda: task.store.put(DIR, "theirs")))
    assert task.run().action.before.value == "theirs"
    assert task.plans == 2


@pytest.mark.parametrize(
    "trouble, says",
    [
        (errors.EtcdUnreachable("no endpoint answered"), "no endpoint answered"),
        (errors.EtcdUnauthorized("no rights"), "no rights"),
        (errors.EtcdNodeExist("exists"), "another writer was faster"),
    ],
)
def test_half_a_replacement_is_said_to_be_half(trouble, says):
    task = file_task(force=True)
    task.store.faults.extend([delivered, raising(trouble)])
    message = str(task.fail(Incomplete))
    assert "%s that was in the way is deleted" % DIR in message
    assert says in message


def test_the_first_half_of_a_replacement_fails_as_it_is():
    task = file_task(force=True)
    task.store.faults.append(raising(errors.EtcdUnauthorized("no rights")))
    task.fail(errors.EtcdUnauthorized)
    assert task.store.value(DIR) == "file"


def test_an_action_is_carried_out_on_the_key_it_names():
    store = FakeStore()
    outcome = _apply.converge(
        store, "/x", lambda current: KeyAction(ActionKind.CREATE, "/x", None, "", 5)
    )
    assert (outcome.node.key, outcome.node.value, outcome.node.ttl) == ("/x", "", 5)


def test_a_refresh_that_may_be_ours_is_remembered_over_further_races():
    """It is a change, also if another client then did all that was left to do."""
    task = Task("new", has_ttl=99, ttl=60)
    task.store.faults.append(before(lambda: task.store.refresh(KEY, 90), lost_after))
    task.store.faults.append(after(lambda: task.store.put(KEY, "new", ttl=50)))
    outcome = task.run()
    assert outcome.action.kind is ActionKind.REFRESH
    assert outcome.action.before.ttl == 99
    assert (outcome.node.ttl, task.plans) == (50, 3)


def test_half_a_replacement_is_a_change():
    task = file_task(force=True)
    task.store.faults.extend([delivered, raising(errors.EtcdUnauthorized("no rights"))])
    assert task.fail(Incomplete).changed


def test_who_loses_every_race_for_a_key_that_is_gone_says_so():
    task = Task("old")

    def lose(commit):
        if KEY in task.store.nodes:
            task.store.remove(KEY)
        else:
            task.store.put(KEY, "theirs")
        return commit()

    task.store.faults.extend([lose] * 9)
    task.store.faults.append(
        after(lambda: task.store.remove(KEY), raising(errors.EtcdKeyNotFound("x")))
    )
    exc = task.fail(errors.EtcdConflict)
    assert "its modified index is now none" in exc.message


def test_a_directory_that_was_there_once_is_not_the_one_that_is_made():
    """The events of the second step are those since the first."""
    task = Task(path=DIR, force=True)
    task.store.create_dir(DIR)
    task.store.remove(DIR)
    task.store.put(DIR, "file")
    theirs = after(lambda: task.store.put(DIR, "theirs"), lost_before)
    task.store.faults.extend([delivered, theirs])
    assert "another writer was faster" in str(task.fail(Incomplete))
    assert task.store.value(DIR) == "theirs"
