# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the loop does in which order; that it misses nothing is tested with real servers."""

from __future__ import annotations

from collections import deque

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import InVain, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.wait import wait_for_key
from ansible_collections.quorum.etcd.plugins.module_utils._watch import Watch
from ansible_collections.quorum.etcd.tests.unit.fakes.network import FakeClock

OPTIONS = {
    "key": "/k",
    "condition": "equals",
    "value": "x",
    "since_index": None,
    "recursive": False,
    "wait_timeout": 40.0,
}


def answer(value, index, action="get"):
    node = {"key": "/k", "value": value, "createdIndex": 3, "modifiedIndex": index}
    return EtcdResult({"action": action, "node": node}, {"X-Etcd-Index": "9"}, endpoint="http://a")


OLD, NEW = answer("old", 5), answer("x", 12)
MISSING = errors.EtcdKeyNotFound("no", index=9)
SILENCE = errors.EtcdWatchTimeout("silence", index=9)
FORGOTTEN = errors.EtcdEventIndexCleared("forgotten")
DOWN = errors.EtcdUnreachable("no endpoint answered")
NO_QUORUM = errors.EtcdRaftInternal("Raft Internal Error", cause="etcdserver: request timed out")


class Scripted:
    """Takes the place of the client: reads and watches with an outcome each, in their order."""

    def __init__(self, *outcomes):
        self.clock = FakeClock()
        self._outcomes = deque(outcomes)
        self.asked = []

    def read(self, key, *, recursive=False, quorum=False):
        assert quorum
        return self._look(recursive, None)

    def watcher(self, key, *, index, recursive=False):
        return Watch(
            self._look,
            self._wait,
            index=index,
            recursive=recursive,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    def _look(self, deep, seconds):
        self.asked.append("read")
        return self._next(0.0)

    def _wait(self, index, silence, seconds):
        assert seconds >= silence - 1e-6
        self.asked.append(("watch", index, round(silence, 3)))
        return self._next(silence)

    def _next(self, silence):
        outcome = self._outcomes.popleft() if len(self._outcomes) > 1 else self._outcomes[0]
        if outcome is SILENCE:
            self.clock.sleep(silence)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def run(client, apply=True, **options):
    return wait_for_key(
        dict(OPTIONS, **options),
        lambda: client,
        apply=apply,
        clock=client.clock,
        sleep=client.clock.sleep,
    )


def test_bad_options_are_refused_before_anything_is_sent():
    def connect():
        raise AssertionError("nothing must be sent")

    with pytest.raises(Refusal):
        wait_for_key(dict(OPTIONS, value=None), connect, apply=True)


def test_a_condition_that_holds_needs_one_read():
    client = Scripted(answer("x", 5))
    found = run(client)
    assert client.asked == ["read"]
    assert (found["met"], found["changed"], found["waited"]) == (True, False, 0)
    assert (found["value"], found["modified_index"], found["action"]) == ("x", 5, None)
    assert found["etcd_index"] == 9


def test_the_watch_begins_after_the_index_of_the_read():
    client = Scripted(OLD, answer("y", 11, "set"), answer("x", 13, "compareAndSwap"))
    found = run(client)
    assert client.asked == ["read", ("watch", 10, 15), ("watch", 12, 15)]
    assert (found["action"], found["modified_index"], found["etcd_index"]) == (
        "compareAndSwap",
        13,
        13,
    )


def test_since_index():
    client = Scripted(OLD, answer("old", 7, "set"))
    found = run(client, condition="changed", value=None, since_index=6)
    assert client.asked == ["read", ("watch", 7, 15)]
    assert found["etcd_index"] == 7
    with pytest.raises(Refusal) as caught:
        run(Scripted(OLD), condition="changed", value=None, since_index=10)
    assert "the store's index is 9" in str(caught.value)


def test_after_a_silence_the_key_is_read_and_the_index_stays():
    client = Scripted(OLD, SILENCE, OLD, answer("x", 12, "set"))
    run(client)
    assert client.asked == ["read", ("watch", 10, 15), "read", ("watch", 10, 15)]


def test_a_read_after_a_silence_ends_the_wait_too():
    client = Scripted(OLD, SILENCE, NEW)
    found = run(client)
    assert client.asked == ["read", ("watch", 10, 15), "read"]
    assert (found["waited"], found["value"], found["action"]) == (15, "x", None)


def test_time_runs_out():
    client = Scripted(OLD, SILENCE, OLD, SILENCE, OLD, SILENCE, OLD)
    with pytest.raises(InVain) as caught:
        run(client)
    assert client.asked[-2:] == [("watch", 10, 10), "read"]
    assert "did not get the value within 40 seconds" in str(caught.value)
    report = caught.value.report
    assert (report["met"], report["value"], report["waited"]) == (False, "old", 40)


def test_what_the_last_watch_was_not_told_is_asked_for_before_the_task_fails():
    """The store has moved on while the watch was silent, and the event may be among what it missed."""
    moved = EtcdResult(OLD.body, {"X-Etcd-Index": "14"}, endpoint="http://b")
    client = Scripted(OLD, SILENCE, moved, answer("x", 11, "set"))
    assert run(client, wait_timeout=5.0)["met"]
    assert client.asked == ["read", ("watch", 10, 5), "read", ("watch", 10, 0.5)]
    client = Scripted(OLD, SILENCE, moved, answer("y", 11, "set"), SILENCE)
    with pytest.raises(InVain):
        run(client, wait_timeout=5.0)
    assert client.asked[-2:] == [("watch", 10, 0.5), ("watch", 12, 0.5)]


def test_forgotten_events():
    client = Scripted(OLD, FORGOTTEN, OLD, answer("x", 12, "set"))
    run(client)
    assert client.asked == ["read", ("watch", 10, 15), "read", ("watch", 10, 15)]
    client = Scripted(OLD, FORGOTTEN, NEW)
    assert run(client)["value"] == "x"
    client = Scripted(OLD, FORGOTTEN, answer("old", 6), MISSING)
    assert run(client, condition="changed", value=None)["modified_index"] == 6
    client = Scripted(OLD, FORGOTTEN, MISSING)
    assert run(client, condition="changed", value=None)["exists"] is False


@pytest.mark.parametrize("trouble", [DOWN, NO_QUORUM, errors.EtcdNoLeader("During election")])
def test_trouble_passes(trouble):
    client = Scripted(OLD, trouble, trouble, answer("x", 12, "set"))
    found = run(client)
    assert (found["met"], found["waited"]) == (True, 1.0)


def test_trouble_stays():
    client = Scripted(OLD, DOWN)
    with pytest.raises(InVain) as caught:
        run(client, wait_timeout=5.0)
    assert "no endpoint answers any more: no endpoint answered" in str(caught.value)
    assert caught.value.report["waited"] == 5


def test_trouble_at_the_first_read_is_a_failure_of_its_own():
    for trouble in (DOWN, NO_QUORUM):
        with pytest.raises(type(trouble)):
            run(Scripted(trouble))


def test_a_final_word_ends_the_wait():
    with pytest.raises(errors.EtcdUnauthorized):
        run(Scripted(OLD, errors.EtcdUnauthorized("no")))


@pytest.mark.parametrize(
    "options, found, met",
    [
        ({}, OLD, False),
        ({}, NEW, True),
        ({"condition": "changed", "value": None}, OLD, False),
        ({"condition": "changed", "value": None, "since_index": 4}, OLD, True),
        ({"condition": "changed", "value": None, "since_index": 5}, OLD, False),
        ({"condition": "absent", "value": None}, MISSING, True),
        ({"condition": "absent", "value": None}, errors.EtcdNotDir("no", index=9), True),
    ],
)
def test_check_mode_reads_once(options, found, met):
    client = Scripted(found)
    report = run(client, apply=False, **options)
    assert (report["met"], report["changed"]) == (met, False)
    assert client.asked == ["read"]


def test_the_report_is_the_same_whatever_happened():
    ended = [run(Scripted(NEW)), run(Scripted(OLD), apply=False), run(Scripted(OLD, NEW))]
    with pytest.raises(InVain) as caught:
        run(Scripted(MISSING, SILENCE, MISSING), wait_timeout=5.0)
    ended.append(caught.value.report)
    assert len({tuple(one) for one in ended}) == 1
