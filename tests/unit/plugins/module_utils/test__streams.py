# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exchanges side by side, over scripted sockets in virtual time."""

from __future__ import annotations

import errno
import socket

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _streams
from ansible_collections.quorum.etcd.plugins.module_utils._messages import AnswerReader, BadAnswer
from ansible_collections.quorum.etcd.plugins.module_utils._types import AttemptFailed, Failure
from ansible_collections.quorum.etcd.tests.unit.fakes.network import FakeClock
from ansible_collections.quorum.etcd.tests.unit.fakes.sockets import (
    END,
    FakeSelector,
    ScriptedSocket,
)

RESET = OSError(errno.ECONNRESET, "Connection reset by peer")
REFUSED = AttemptFailed(Failure.NOT_SENT, "connection refused")
SILENCE, TOTAL = 1.0, 30.0


def whole(body=b"ok", after=0.0, head=b""):
    """An answer in one piece."""
    raw = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
    return [(after, raw)]


def drips(count, pause):
    """An answer of this many bytes, of which each is that much later than the one before."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count
    return [(pause, head)] + [(pause, b"x")] * count


@pytest.fixture
def clock(monkeypatch):
    found = FakeClock()
    monkeypatch.setattr(_streams.selectors, "DefaultSelector", lambda: FakeSelector(found))
    return found


class Run:
    """All messages sent, and what became of them.

    Attributes:
        found: for each mark the body of its answer, or what else it ended with.
        order: the marks as they came.
        renewed: the sockets that were to be replaced.
    """

    def __init__(self, clock, sockets, messages, renewals=(), fresh=()):
        self.renewed = []
        renewals = list(renewals)

        def renew(sock):
            sock.close()
            self.renewed.append(sock)
            made = renewals.pop(0)
            if isinstance(made, Exception):
                raise made
            return made

        streams = _streams.Streams(
            [one if isinstance(one, tuple) else (one, True) for one in sockets],
            waiting=(BlockingIOError,),
            silence=SILENCE,
            total=TOTAL,
            clock=clock,
            renew=renew,
        )
        self.rest = ((one, b"%s%s" % (one.encode(), END), one in fresh) for one in messages)
        self.found = {}
        for mark, ending in streams.exchange(self.rest):
            assert mark not in self.found
            if isinstance(ending, AnswerReader):
                assert ending.whole
                ending = ending.body
            self.found[mark] = ending
        self.order = list(self.found)
        self.usable = streams.usable


def test_each_message_is_sent_once_and_gets_its_own_answer(clock):
    sockets = [
        ScriptedSocket(clock, whole(b"1", 0.3), whole(b"3", 0.1)),
        ScriptedSocket(clock, whole(b"2", 0.2), whole(b"4", 0.1)),
    ]
    run = Run(clock, sockets, "abcd")
    sent = {one.decode() for sock in sockets for one in sock.messages}
    assert sum(len(sock.messages) for sock in sockets) == 4 and sent == set("abcd")
    for sock, bodies in zip(sockets, ([b"1", b"3"], [b"2", b"4"])):
        assert [run.found[one.decode()] for one in sock.messages] == bodies
    assert set(run.usable) == set(sockets)
    assert not any(sock.closed for sock in sockets)


def test_an_answer_that_comes_steadily_may_take_longer_than_the_silence(clock):
    run = Run(clock, [ScriptedSocket(clock, drips(20, 0.8))], "a")
    assert run.found == {"a": b"x" * 20}
    assert clock.now - 1000.0 > 10 * SILENCE


def test_a_message_that_goes_steadily_may_take_longer_than_the_silence(clock):
    sock = ScriptedSocket(clock, whole(), takes=10, pause=0.8)
    run = Run(clock, [sock], ["a" * 200])
    assert list(run.found.values()) == [b"ok"]
    assert clock.now - 1000.0 > 10 * SILENCE


@pytest.mark.parametrize(
    "script, last, first",
    [([], 0.0, True), ([(0.9, b"HTTP/1.1 200 OK\r\n"), (0.9, b"X: y\r\n")], 1.8, False)],
    ids=["nothing", "after some"],
)
def test_silence_is_measured_from_the_last_byte(clock, script, last, first):
    run = Run(clock, [ScriptedSocket(clock, script)], "ab")
    assert isinstance(run.found["a"].cause, socket.timeout)
    assert run.found["a"].first is first
    assert SILENCE - 0.01 <= clock.now - 1000.0 - last <= SILENCE + 2 * _streams._TICK
    assert list(run.rest) != [], "nothing was to be sent any more"
    assert run.usable == []


def test_a_message_that_nobody_takes_is_given_up(clock):
    sock = ScriptedSocket(clock, takes=1, pause=1e6)
    run = Run(clock, [sock], ["aaa"])
    assert isinstance(run.found["aaa"].cause, socket.timeout)
    assert sock.closed


def test_an_answer_that_never_ends_is_held_to_the_whole_budget(clock):
    run = Run(clock, [ScriptedSocket(clock, drips(10_000, 0.5))], "a")
    assert isinstance(run.found["a"].cause, socket.timeout)
    assert TOTAL <= clock.now - 1000.0 <= TOTAL + 2 * _streams._TICK


@pytest.mark.parametrize(
    "script, cause, first",
    [
        (RESET, RESET, True),
        ([(0.1, RESET)], RESET, True),
        ([(0.1, b"")], BadAnswer, True),
        ([(0.1, b"HTTP/1.1 2"), (0.1, RESET)], RESET, False),
        ([(0.1, b"HTTP/1.1 2"), (0.1, b"")], BadAnswer, False),
        ([(0.1, b"SSH-2.0\r\n\r\n")], BadAnswer, True),
    ],
)
def test_what_breaks_is_lost_and_nothing_more_is_sent(clock, script, cause, first):
    broken = ScriptedSocket(clock, script)
    slow = ScriptedSocket(clock, whole(b"late", 0.7))
    run = Run(clock, [slow, broken], "abcd")
    lost = run.found["a"]
    assert lost.cause is cause or isinstance(lost.cause, BadAnswer)
    assert lost.first is first
    if script is RESET:
        # It broke before the second one was taken.
        assert run.found == {"a": lost}
    else:
        assert run.found == {"a": lost, "b": b"late"}, "what was sent is still waited for"
        assert run.usable == [slow]
    assert broken.closed


def test_a_break_after_an_answer_is_not_the_first_that_came(clock):
    run = Run(clock, [ScriptedSocket(clock, whole(), [(0.1, RESET)])], "ab")
    assert run.found == {"a": b"ok", "b": _streams.Lost(RESET, False)}


@pytest.mark.parametrize(
    "answer",
    [
        whole(head=b"Connection: close\r\n"),
        [(0.0, whole()[0][1] + b"HTTP/1.1 200")],
    ],
    ids=["the server ends it", "bytes that nobody asked for"],
)
def test_a_connection_that_cannot_go_on_is_closed_and_the_others_do_the_rest(clock, answer):
    ended = ScriptedSocket(clock, answer)
    other = ScriptedSocket(clock, whole(), whole(), whole())
    run = Run(clock, [other, ended], "abcd")
    assert run.found == dict.fromkeys("abcd", b"ok")
    assert ended.closed and run.usable == [other]


def test_without_a_connection_that_can_go_on_the_rest_is_not_taken(clock):
    run = Run(clock, [ScriptedSocket(clock, whole(head=b"Connection: close\r\n"))], "ab")
    assert run.found == {"a": b"ok"}
    assert [one[0] for one in run.rest] == ["b"]


def test_an_answer_that_comes_before_the_message_is_out_ends_the_connection(clock):
    sock = ScriptedSocket(clock, takes=1, pause=0.4, unasked=[(0.5, whole()[0][1])])
    run = Run(clock, [sock], ["aaaaaaaa"])
    assert run.found == {"aaaaaaaa": b"ok"}
    assert sock.closed and run.usable == []


def test_an_idle_connection_that_ends_is_not_used(clock):
    ends = ScriptedSocket(clock, unasked=[(0.5, b"")])
    busy = ScriptedSocket(clock, whole(after=0.9))
    run = Run(clock, [ends, busy], "a")
    assert run.found == {"a": b"ok"}
    assert ends.closed and run.usable == [busy]


def test_what_cannot_be_resolved_goes_over_no_connection_that_was_idle(clock):
    old = ScriptedSocket(clock, whole(b"old"))
    made = ScriptedSocket(clock, whole(b"new"))
    run = Run(clock, [(old, False)], "a", renewals=[made], fresh="a")
    assert run.found == {"a": b"new"}
    assert (run.renewed, old.sent, old.closed) == ([old], b"", True)
    assert run.usable == [made]


def test_a_connection_that_is_new_or_has_just_answered_need_not_be_replaced(clock):
    new = ScriptedSocket(clock, whole(b"1"), whole(b"2"))
    assert Run(clock, [(new, True)], "ab", fresh="ab").renewed == []
    old = ScriptedSocket(clock, whole(b"1"), whole(b"2"))
    run = Run(clock, [(old, False)], "ab", fresh="b")
    assert (run.renewed, run.found) == ([], {"a": b"1", "b": b"2"})


def test_a_message_for_which_there_is_no_connection_was_not_sent(clock):
    old = ScriptedSocket(clock)
    run = Run(clock, [(old, False)], "ab", renewals=[REFUSED], fresh="a")
    assert run.found == {"a": REFUSED}
    assert [one[0] for one in run.rest] == ["b"]
    assert run.usable == []
