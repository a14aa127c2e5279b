# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _carry_out, _in_doubt, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
)
from ansible_collections.quorum.etcd.plugins.module_utils._in_doubt import LostRace, Outcome
from ansible_collections.quorum.etcd.plugins.module_utils._reading import Reading, read
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.tests.unit.fakes.store import (
    FakeStore,
    after,
    before,
    delivered,
    lost_after,
    lost_before,
)

KEY = "/app/k"


class Write:
    """One planned write of KEY, in a store where others write as well."""

    def __init__(self, kind, has=None, value=None, ttl=None, **more):
        self.store = FakeStore()
        self.store.put("/app/neighbour", "x")
        has_ttl = more.pop("has_ttl", None)
        if has == "dir":
            self.store.put_dir(KEY, ttl=has_ttl)
        elif has is not None:
            self.store.put(KEY, has, ttl=has_ttl)
        self.reading = read(self.store, KEY)
        before = None if kind is ActionKind.ENQUEUE else self.reading.state
        self.action = KeyAction(kind, KEY, before, value, ttl, **more)

    @property
    def index(self):
        """The modified index that the write was planned on."""
        return self.reading.state.modified_index

    def run(self, *faults):
        self.store.faults.extend(faults)
        return _carry_out.carry_out(self.store, Outcome(self.action, self.reading))

    def fail(self, *faults):
        with pytest.raises(errors.EtcdOutcomeUnknown) as caught:
            self.run(*faults)
        return caught.value

    def lose(self, *faults):
        with pytest.raises(LostRace) as caught:
            self.run(*faults)
        return caught.value.possible


#: Each kind that carries a condition: how it is planned, and how another client does the same.
EQUAL = {
    "create": (
        lambda **more: Write(ActionKind.CREATE, None, "new", **more),
        lambda write: write.store.create(KEY, "new"),
    ),
    "create with a ttl": (
        lambda **more: Write(ActionKind.CREATE, None, "new", 60, **more),
        lambda write: write.store.create(KEY, "new", ttl=60),
    ),
    "create an empty value": (
        lambda **more: Write(ActionKind.CREATE, None, "", **more),
        lambda write: write.store.create(KEY, ""),
    ),
    "swap": (
        lambda **more: Write(ActionKind.SWAP, "old", "new", **more),
        lambda write: write.store.swap_on(write.index, KEY, "new"),
    ),
    "swap with a ttl": (
        lambda **more: Write(ActionKind.SWAP, "old", "new", 60, **more),
        lambda write: write.store.swap_on(write.index, KEY, "new", ttl=60),
    ),
    "delete": (
        lambda **more: Write(ActionKind.DELETE, "old", **more),
        lambda write: write.store.remove_on(write.index, KEY),
    ),
    "make a directory": (
        lambda **more: Write(ActionKind.MAKE_DIR, **more),
        lambda write: write.store.create_dir(KEY),
    ),
    "make a directory with a ttl": (
        lambda **more: Write(ActionKind.MAKE_DIR, ttl=60, **more),
        lambda write: write.store.create_dir(KEY, ttl=60),
    ),
}


@pytest.fixture(params=sorted(EQUAL))
def pair(request):
    return EQUAL[request.param]


@pytest.mark.parametrize("ours", [lost_before, lost_after])
def test_an_equal_write_of_another_client_and_a_task_that_must_know(pair, ours):
    """Ours was dropped, or came second: the event is the other client's, and looks like ours."""
    plan, equal = pair
    write = plan(exclusive=True)
    found = []
    exc = write.fail(after(lambda: found.append(equal(write)), _refusable(ours)))
    assert exc.index == found[0]
    assert "at the index %d" % found[0] in exc.message
    assert exc.message.startswith("sent, and no answer")
    assert exc.endpoint == "http://fake:2379"
    assert write.store.commits == []


def _refusable(fault):
    """The fault, for a write whose condition may not hold: its answer is lost as well."""

    def refused(commit):
        try:
            return fault(commit)
        except (errors.EtcdTestFailed, errors.EtcdNodeExist, errors.EtcdKeyNotFound):
            return lost_before(commit)

    return refused


def test_an_equal_write_and_a_task_that_declares_a_state(pair):
    plan, equal = pair
    write = plan()
    found = []
    outcome = write.run(after(lambda: found.append(equal(write)), lost_before))
    assert outcome.action is write.action
    assert outcome.node.modified_index == found[0]
    assert (outcome.etcd_index, outcome.endpoint) == (write.store.index, "http://fake:2379")
    assert (write.store.commits, write.store.sends) == ([], 1)


def test_our_own_write_looks_the_same_to_a_task_that_must_know(pair):
    plan, unused = pair
    write = plan(exclusive=True)
    exc = write.fail(lost_after)
    assert exc.index == write.store.index
    assert write.store.sends == 1


def test_a_write_that_is_answered_is_known_to_be_ours(pair):
    plan, unused = pair
    write = plan(exclusive=True)
    assert write.run(delivered).node.modified_index == write.store.index


def test_a_second_copy_that_is_answered_is_known_to_be_ours(pair):
    plan, unused = pair
    write = plan(exclusive=True)
    assert write.run(lost_before).node.modified_index == write.store.index
    assert write.store.sends == 2


def test_an_equal_write_that_is_gone_again(pair):
    """It was there, and that it is gone is another change."""
    plan, equal = pair
    write = plan(exclusive=True)
    found = []

    def come_and_go():
        found.append(equal(write))
        if KEY in write.store.nodes:
            write.store.remove(KEY)

    assert write.fail(after(come_and_go, lost_before)).index == found[0]


#: What is not equal: kind, what is there, how it is planned, what another client does.
OTHERS = {
    "a set is no creation": (
        lambda: Write(ActionKind.CREATE, None, "new"),
        lambda write: write.store.put(KEY, "new"),
    ),
    "another value": (
        lambda: Write(ActionKind.CREATE, None, "new"),
        lambda write: write.store.create(KEY, "theirs"),
    ),
    "a ttl where ours has none": (
        lambda: Write(ActionKind.CREATE, None, "new"),
        lambda write: write.store.create(KEY, "new", ttl=60),
    ),
    "no ttl where ours has one": (
        lambda: Write(ActionKind.CREATE, None, "new", 60),
        lambda write: write.store.create(KEY, "new"),
    ),
    "a set is no swap": (
        lambda: Write(ActionKind.SWAP, "old", "new"),
        lambda write: write.store.put(KEY, "new"),
    ),
    "a swap to another value": (
        lambda: Write(ActionKind.SWAP, "old", "new"),
        lambda write: write.store.swap(KEY, "theirs"),
    ),
    "a swap with a ttl": (
        lambda: Write(ActionKind.SWAP, "old", "new"),
        lambda write: write.store.swap_on(write.index, KEY, "new", ttl=60),
    ),
    "a swap of what another client wrote": (
        lambda: Write(ActionKind.SWAP, "old", "new"),
        lambda write: (write.store.put(KEY, "theirs"), write.store.swap(KEY, "new")),
    ),
    "a plain removal": (
        lambda: Write(ActionKind.DELETE, "old"),
        lambda write: write.store.remove(KEY),
    ),
    "a removal of what another client wrote": (
        lambda: Write(ActionKind.DELETE, "old"),
        lambda write: (
            write.store.put(KEY, "theirs"),
            write.store.remove_on(write.store.index, KEY),
        ),
    ),
    "the removal of the directory": (
        lambda: Write(ActionKind.DELETE, "old"),
        lambda write: write.store.remove("/app"),
    ),
    "a directory that was set": (
        lambda: Write(ActionKind.MAKE_DIR),
        lambda write: write.store.put_dir(KEY),
    ),
    "a key in place of a directory": (
        lambda: Write(ActionKind.MAKE_DIR),
        lambda write: write.store.create(KEY, "v"),
    ),
    "a directory in place of a key": (
        lambda: Write(ActionKind.CREATE, None, ""),
        lambda write: write.store.create_dir(KEY),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("exclusive", [True, False])
def test_another_write_is_not_ours(name, exclusive):
    plan, other = OTHERS[name]
    write = plan()
    write.action = write.action._replace(exclusive=exclusive)
    assert write.lose(after(lambda: other(write), lost_before)) is None
    assert (write.store.commits, write.store.sends) == ([], 1)


#: What a write and another client's write make of a key, where the events of it do not show.
WITHOUT_EVENTS = {
    "created": (lambda: Write(ActionKind.CREATE, None, "new"), lambda store: None),
    "swapped": (lambda: Write(ActionKind.SWAP, "old", "new"), lambda store: None),
    "without its ttl": (
        lambda: Write(ActionKind.SWAP, "v", "v", has_ttl=9),
        lambda store: None,
    ),
    "deleted": (lambda: Write(ActionKind.DELETE, "old"), lambda store: None),
    "made again": (
        lambda: Write(ActionKind.SWAP, "old", "new"),
        lambda store: (store.remove(KEY), store.put(KEY, "old")),
    ),
}


@pytest.mark.parametrize("name", WITHOUT_EVENTS)
def test_a_member_that_does_not_show_the_events(name):
    """It lags behind the one that was read from; that the key changed shows, and not why."""
    plan, then = WITHOUT_EVENTS[name]
    write = plan()
    show = write.store.read

    def read_without_events(key, **options):
        if options.get("wait"):
            raise errors.EtcdWatchTimeout("no event", index=1)
        return show(key, **options)

    write.store.read = read_without_events
    exc = write.fail(before(lambda: then(write.store), lost_after))
    assert "the server shows no event for it" in exc.message


def test_an_equal_write_after_others():
    """A key that is to be created can be absent more than once."""
    write = Write(ActionKind.CREATE, None, "new", exclusive=True)

    def others():
        write.store.create(KEY, "theirs")
        write.store.remove(KEY)
        write.store.create(KEY, "new")

    exc = write.fail(after(others, lost_before))
    assert exc.index == write.store.index
    assert write.store.idle_waits == 0


def test_no_event_is_waited_for_that_came_after_the_read():
    write = Write(ActionKind.SWAP, "old", "new")
    write.run(before(lambda: write.store.put("/app/neighbour", "y"), lost_after))
    assert write.store.idle_waits == 1
    write = Write(ActionKind.SWAP, "old", "new")
    write.run(lost_after)
    assert write.store.idle_waits == 0


@pytest.mark.parametrize("node", [None, {"key": KEY, "value": "new"}])
def test_an_event_that_does_not_say_when_it_was(node):
    """The history cannot be followed any further."""
    write = Write(ActionKind.SWAP, "old", "other")
    show, asked = write.store.read, []

    def read_oddly(key, **options):
        if not options.get("wait"):
            return show(key, **options)
        asked.append(options["wait_index"])
        assert len(asked) < 5
        return result(node)

    write.store.read = read_oddly
    assert write.lose(before(lambda: write.store.put(KEY, "x"), lost_after)) is None
    assert len(asked) == 1


def test_a_refresh_by_another_client_needs_no_event():
    write = Write(ActionKind.SWAP, "old", "new", has_ttl=9)
    assert write.lose(after(lambda: write.store.refresh(KEY, 70), lost_before)) is None


def test_an_outcome_is_of_one_attempt_unless_it_says_otherwise():
    assert (
        Outcome(KeyAction(ActionKind.NOTHING, KEY, None), Reading(None, 1, None, 1)).attempts == 1
    )


@pytest.mark.parametrize("kind", [ActionKind.CREATE, ActionKind.MAKE_DIR])
def test_what_lives_longer_than_it_is_to_is_planned_again(kind):
    write = Write(kind, value="new" if kind is ActionKind.CREATE else None, ttl=60)

    def longer():
        if kind is ActionKind.CREATE:
            write.store.create(KEY, "new", ttl=61)
        else:
            write.store.create_dir(KEY, ttl=61)

    possible = write.lose(after(longer, lost_before))
    assert (possible.action, possible.node.ttl) == (write.action, 61)


# -- refreshes


def refresh(**more):
    return Write(ActionKind.REFRESH, "v", "v", 60, has_ttl=9, **more)


def test_a_refresh_that_may_be_ours_is_planned_again():
    write = refresh()
    possible = write.lose(lost_after)
    assert (possible.action, possible.node.ttl) == (write.action, 60)
    assert possible.etcd_index == write.store.index


def test_a_refresh_of_another_client_is_told_from_ours_by_nothing():
    write = refresh(exclusive=True)
    exc = write.fail(after(lambda: write.store.refresh(KEY, 60), lost_before))
    assert exc.index == write.store.index


def test_a_refresh_that_may_be_ours_before_another_write():
    """The event names the index that it replaced, and it is not the one that ours was planned on."""
    write = refresh()
    assert write.lose(before(lambda: write.store.put(KEY, "theirs"), lost_after)) is not None
    write = refresh(exclusive=True)
    assert write.fail(before(lambda: write.store.put(KEY, "theirs"), lost_after)).index
    write = refresh(exclusive=True)
    assert write.fail(before(lambda: write.store.remove("/app"), lost_after)).index is None


def test_a_refresh_that_may_be_ours_before_the_key_was_made_again():
    write = refresh()

    def others():
        write.store.remove(KEY)
        write.store.create(KEY, "v", ttl=60)

    assert write.lose(before(others, lost_after)) is not None


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_refresh_that_cannot_be_ours(exclusive):
    write = refresh(exclusive=exclusive)
    assert write.lose(after(lambda: write.store.put(KEY, "v", ttl=60), lost_before)) is None


def test_a_refresh_that_was_there_before_ours_was_sent():
    write = refresh(exclusive=True)
    write.store.refresh(KEY, 60)
    write.reading = write.reading._replace(etcd_index=write.store.index)
    assert write.lose(lost_before) is None


def test_a_refresh_that_changed_the_value():
    """Servers before 2.3 take it for a write of an empty value, and so do answers and events."""
    write = refresh()

    def blank(*unused, **options):
        return write.store._set("update", KEY, value="", ttl=60)

    write.store.update_ttl = blank
    with pytest.raises(errors.EtcdInvalidResponse, match="changed its value as well"):
        write.run()

    write = refresh()

    def blank_and_lose(*unused, **options):
        write.store._set("update", KEY, value="", ttl=60)
        return lost_before(None)

    write.store.update_ttl = blank_and_lose
    assert write.lose() is None


# -- what is sent once


ONCE = {
    "remove a directory": lambda **more: Write(ActionKind.REMOVE_DIR, "dir", **more),
    "set the ttl of a directory": lambda **more: Write(
        ActionKind.SET_DIR_TTL, "dir", ttl=60, **more
    ),
    "take the ttl of a directory": lambda **more: Write(
        ActionKind.SET_DIR_TTL, "dir", has_ttl=9, **more
    ),
    "set a new key": lambda **more: Write(ActionKind.CREATE, None, "new", guarded=False, **more),
    "set a key": lambda **more: Write(ActionKind.SWAP, "old", "new", guarded=False, **more),
    "set a key and its ttl": lambda **more: Write(
        ActionKind.SWAP, "old", "new", 60, guarded=False, **more
    ),
    "take the ttl of a key": lambda **more: Write(
        ActionKind.SWAP, "v", "v", has_ttl=9, guarded=False, **more
    ),
    "delete a key": lambda **more: Write(ActionKind.DELETE, "old", guarded=False, **more),
}


@pytest.fixture(params=sorted(ONCE))
def once(request):
    return ONCE[request.param]


def test_it_is_not_sent_again_and_unknown_in_the_end(once):
    write = once()
    exc = write.fail(lost_before)
    assert "was not seen to be carried out, and may still be" in exc.message
    assert exc.index is None
    assert (write.store.sends, write.store.now) == (1, write.store.total)


def test_it_is_seen_at_once(once):
    write = once()
    outcome = write.run(lost_after)
    assert outcome.action is write.action
    assert (write.store.sends, write.store.now) == (1, 0)
    assert outcome.etcd_index == write.store.index


def test_it_arrives_late(once):
    write = once()
    held = []

    def hold(commit):
        held.append(commit)
        return lost_before(commit)

    def arrive():
        held[0]()

    write.store.at[3] = arrive
    write.run(hold)
    assert (write.store.sends, write.store.now) == (1, 3)
    assert len(write.store.commits) == 1


@pytest.mark.parametrize("name", ["remove a directory", "set the ttl of a directory"])
def test_it_is_seen_and_may_be_that_of_another_client(name):
    write = ONCE[name](exclusive=True)

    def others():
        if write.action.kind is ActionKind.REMOVE_DIR:
            write.store.remove(KEY)
        else:
            write.store.set_dir_ttl(KEY, 60)

    exc = write.fail(after(others, lost_before))
    assert exc.index == write.store.index
    assert write.store.sends == 1


def test_it_is_seen_and_the_server_has_forgotten_when_it_was():
    write = ONCE["remove a directory"](exclusive=True)
    exc = write.fail(before(write.store.forget, lost_after))
    assert exc.index is None
    assert "was carried out, and" in exc.message


def test_it_is_seen_and_no_event_shows_when_it_was():
    write = ONCE["remove a directory"](exclusive=True)
    show = write.store.read

    def read_without_events(key, **options):
        if options.get("wait"):
            raise errors.EtcdWatchTimeout("no event", index=1)
        return show(key, **options)

    write.store.read = read_without_events
    assert write.fail(lost_after).index is None


def test_it_is_looked_for_until_a_deadline_that_is_given():
    write = ONCE["remove a directory"]()
    write.store.faults.append(lost_before)
    with pytest.raises(errors.EtcdOutcomeUnknown):
        _carry_out.carry_out(write.store, Outcome(write.action, write.reading), None, 2.0)
    assert write.store.now == 2.0


def test_it_cannot_be_read_back():
    write = ONCE["remove a directory"]()

    def fail():
        raise errors.EtcdUnauthorized("no rights")

    write.store.before_read.append(fail)
    assert "reading the key back failed too: no rights" in write.fail(lost_before).message


def state(value=None, is_dir=False, ttl=None):
    return KeyState(value, is_dir, ttl, None, 5, 5)


@pytest.mark.parametrize(
    "action, now, holds",
    [
        (KeyAction(ActionKind.DELETE, KEY, state("v")), None, True),
        (KeyAction(ActionKind.DELETE, KEY, state("v")), state("v"), False),
        (KeyAction(ActionKind.REMOVE_DIR, KEY, state(is_dir=True)), state(is_dir=True), False),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w"), None, False),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w"), state("w"), True),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w"), state("v"), False),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w"), state("w", ttl=9), False),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w", 9), state("w"), False),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w", 9), state("w", ttl=9), True),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w", 9), state("w", ttl=1), True),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w", 9), state("w", ttl=0), False),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), "w", 9), state("w", ttl=10), False),
        (KeyAction(ActionKind.SWAP, KEY, state("v"), None), state(is_dir=True), False),
        (KeyAction(ActionKind.SET_DIR_TTL, KEY, None), state(is_dir=True), True),
        (KeyAction(ActionKind.SET_DIR_TTL, KEY, None), state("v"), False),
        (KeyAction(ActionKind.SET_DIR_TTL, KEY, None, ttl=9), state(is_dir=True, ttl=9), True),
        (KeyAction(ActionKind.SET_DIR_TTL, KEY, None, ttl=9), state(is_dir=True, ttl=90), False),
    ],
)
def test_when_it_holds(action, now, holds):
    assert _in_doubt._holds(action, now) is holds


# -- in-order keys


def enqueue(**more):
    return Write(ActionKind.ENQUEUE, "dir", "job", exclusive=True, **more)


def test_an_in_order_key_is_found_and_may_be_that_of_another_client():
    for fault, other in ((lost_before, True), (lost_after, False)):
        write = enqueue()
        if other:
            fault = after(lambda: write.store.enqueue(KEY, "job"), fault)
        exc = write.fail(fault)
        assert exc.index == write.store.index
        assert (write.store.sends, write.store.now) == (1, 0)


def test_the_first_of_several_in_order_keys_is_named():
    write = enqueue()
    write.store.enqueue(KEY, "other")
    first = write.store.index + 1
    exc = write.fail(before(lambda: write.store.enqueue(KEY, "job"), lost_after))
    assert (exc.index, write.store.index) == (first, first + 1)


@pytest.mark.parametrize("ttl", [None, 60])
def test_an_in_order_key_that_is_not_like_ours_is_not_named(ttl):
    write = enqueue(ttl=ttl)
    write.store.enqueue(KEY, "another job")
    if ttl is not None:
        write.store.enqueue(KEY, "job")
    exc = write.fail(lost_before)
    assert (exc.index, write.store.sends) == (None, 1)
    assert write.store.now == write.store.total


def test_an_earlier_in_order_key_is_not_named():
    write = enqueue()
    write.store.enqueue(KEY, "job")
    write.reading = read(write.store, KEY)
    assert write.fail(lost_before).index is None


def test_an_in_order_key_in_a_directory_that_is_gone():
    write = enqueue()
    assert write.fail(after(lambda: write.store.remove(KEY), lost_before)).index is None


# -- what the server did instead


def result(node=None, prev=None):
    body = {"action": "x", "node": node, "prevNode": prev}
    return EtcdResult({k: v for k, v in body.items() if v is not None}, {}, endpoint="http://e")


@pytest.mark.parametrize(
    "kind, node, prev, says",
    [
        (
            ActionKind.REMOVE_DIR,
            {"key": KEY},
            {"key": KEY, "value": "v"},
            "was deleted in its stead",
        ),
        (ActionKind.REMOVE_DIR, {"key": KEY}, {"key": KEY, "dir": True}, None),
        (ActionKind.REMOVE_DIR, {"key": KEY}, None, None),
        (ActionKind.SET_DIR_TTL, {"key": KEY, "value": ""}, None, "its value is empty now"),
        (ActionKind.SET_DIR_TTL, {"key": KEY, "dir": True}, None, None),
        (ActionKind.SET_DIR_TTL, None, None, None),
        (ActionKind.REFRESH, {"key": KEY, "value": ""}, None, "changed its value as well"),
        (ActionKind.REFRESH, {"key": KEY, "value": "v"}, None, None),
        (ActionKind.REFRESH, None, None, None),
        (ActionKind.SWAP, {"key": KEY, "value": "other"}, {"key": KEY, "value": "old"}, None),
        (ActionKind.DELETE, {"key": KEY}, {"key": KEY, "value": "v"}, None),
    ],
)
def test_what_the_server_did_instead(kind, node, prev, says):
    action, answer = KeyAction(kind, KEY, None, "v"), result(node, prev)
    if says is None:
        assert _carry_out.checked(action, answer) is answer
        return
    with pytest.raises(errors.EtcdException, match=says) as caught:
        _carry_out.checked(action, answer)
    assert caught.value.endpoint == "http://e"
    assert "other" not in str(caught.value)


# -- readings


def test_what_stands_in_the_way_is_told():
    store = FakeStore()
    store.put("/app", "file")
    reading = read(store, KEY)
    assert (reading.state, reading.blocked_by) == (None, "/app")
    assert Reading(None, 1, None, 1).blocked_by is None


# -- what is sent


@pytest.mark.parametrize(
    "kind, has, value, ttl, guarded, event",
    [
        (ActionKind.CREATE, None, "v", None, True, "create"),
        (ActionKind.CREATE, None, "v", 9, False, "set"),
        (ActionKind.SWAP, "old", "v", 9, True, "compareAndSwap"),
        (ActionKind.SWAP, "old", "v", None, False, "set"),
        (ActionKind.DELETE, "old", None, None, True, "compareAndDelete"),
        (ActionKind.DELETE, "old", None, None, False, "delete"),
        (ActionKind.REFRESH, "v", "v", 9, True, "update"),
        (ActionKind.REFRESH, "v", "v", 9, False, "update"),
        (ActionKind.MAKE_DIR, None, None, 9, False, "create"),
        (ActionKind.REMOVE_DIR, "dir", None, None, False, "delete"),
        (ActionKind.SET_DIR_TTL, "dir", None, 9, False, "update"),
    ],
)
def test_what_is_sent(kind, has, value, ttl, guarded, event):
    write = Write(kind, has, value, ttl, guarded=guarded)
    write.run()
    assert write.store.commits == [event]
    node = write.store.nodes.get(KEY, {})
    assert (node.get("value"), node.get("ttl")) == (value, ttl)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_refresh_is_sent_again_whatever_the_option_says(guarded):
    """It carries its condition in either case."""
    write = refresh(guarded=guarded)
    write.run(lost_before)
    assert (write.store.sends, write.store.commits) == (2, ["update"])


def test_a_write_that_was_sent_already_is_settled_first():
    write = Write(ActionKind.SWAP, "old", "new")
    write.store.swap_on(write.index, KEY, "new")
    planned = Outcome(write.action, write.reading)
    _carry_out.carry_out(write.store, planned, errors.EtcdOutcomeUnknown("sent"))
    assert write.store.sends == 0


def test_another_write_wins_while_ours_is_sent_again():
    write = Write(ActionKind.SWAP, "old", "new")
    write.store.before_read.append(lambda: None)
    assert write.lose(lost_before, after(lambda: write.store.put(KEY, "theirs"))) is None
    assert write.store.sends == 2


def test_another_key_that_comes_and_goes_while_ours_is_sent_again():
    """Ours was refused, and nothing is there any more: planned again."""
    write = Write(ActionKind.CREATE, None, "new")

    def refused(commit):
        write.store.create(KEY, "theirs")
        try:
            return commit()
        finally:
            write.store.remove(KEY)

    assert write.lose(lost_before, refused) is None
    assert write.store.sends == 2


def test_the_last_copy_can_be_the_one_that_arrives():
    write = Write(ActionKind.SWAP, "old", "new")
    copies = _carry_out.ATTEMPTS
    outcome = write.run(*[lost_before] * (copies - 1), lost_after)
    assert outcome.node.value == "new"
    assert write.store.sends == copies
