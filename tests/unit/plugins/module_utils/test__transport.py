# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _wire, errors
from ansible_collections.quorum.etcd.plugins.module_utils._operation import PAUSE
from ansible_collections.quorum.etcd.plugins.module_utils._transport import Transport
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Api,
    AttemptFailed,
    Endpoint,
    Failure,
    Timeouts,
)
from ansible_collections.quorum.etcd.tests.unit.fakes.network import (
    BAD_CERTIFICATE,
    BLACK_HOLE,
    FOR_EVER,
    HTML,
    MISSING,
    NO_QUORUM,
    NO_SUCH_HOST,
    REFUSED,
    RESET,
    SILENT,
    FakeClock,
    FakeHttp,
    FakeRace,
    Reply,
    error_reply,
    node_reply,
)

READ = _wire.read_key("v2", "/k", {})
WRITE = _wire.write_key("v2", "/k", {"value": "v"})
POST = _wire.write_key("v2", "/k", {"value": "v"}, method="POST")
DELETE = _wire.delete_key("v2", "/k", {"prevIndex": 5})
WATCH = _wire.wait_key("v2", "/k", {}, 60.0)
WRITES = [WRITE, POST, DELETE]
GOOD = node_reply()
WITHOUT_V2 = Reply(404, b"404 page not found\n")
HEDGE = 0.1


class World:
    """A transport over endpoints a, b, c... that behave by script."""

    def __init__(self, timeouts=Timeouts(), allow_failover=True, **script):
        self.clock = FakeClock()
        self.http = FakeHttp(
            self.clock,
            {host: one if isinstance(one, list) else [one] for host, one in script.items()},
        )
        self.lookups = 0
        self.lookup_takes = 0.0
        self.hosts = sorted(script)
        self.transport = Transport(
            self.http,
            self._find,
            timeouts=timeouts,
            hedge_delay=HEDGE,
            allow_failover=allow_failover,
            clock=self.clock,
            sleep=self.clock.sleep,
            new_race=lambda: FakeRace(self.clock),
        )
        self.began = self.clock.now

    def _find(self, seconds):
        self.lookups += 1
        self.clock.sleep(min(self.lookup_takes, seconds))
        return [Endpoint("http", host, 2379) for host in self.hosts]

    def send(self, request):
        return self.transport.send(request)

    def fail(self, request, expected):
        with pytest.raises(errors.EtcdException) as caught:
            self.send(request)
        assert caught.value.__class__ is expected
        return caught.value

    @property
    def order(self):
        """The hosts in the order in which they would be asked now."""
        return [endpoint.host for endpoint in self.transport.endpoints()]

    def transport_failures(self):
        """The hosts that are asked last for a while, because they did not answer."""
        return {endpoint.host for endpoint in self.transport._pool()._failures}

    @property
    def asked(self):
        return "".join(self.http.hosts)

    @property
    def elapsed(self):
        return round(self.clock.now - self.began, 6)


def url(host):
    return "http://%s:2379" % host


# -- one endpoint after the other


@pytest.mark.parametrize("request_", [READ] + WRITES + [WATCH], ids=str)
@pytest.mark.parametrize(
    "failing, cost",
    [(REFUSED, 0.0), (BLACK_HOLE, 2.0), (BAD_CERTIFICATE, 0.0)],
    ids=["refused", "black hole", "certificate"],
)
def test_what_never_left_goes_to_the_next_endpoint(request_, failing, cost):
    world = World(a=failing, b=GOOD)
    result = world.send(request_)
    assert (result.endpoint, result.attempts) == (url("b"), 2)
    assert world.asked == "ab"
    assert world.elapsed == (HEDGE if request_ is READ and cost else cost)


@pytest.mark.parametrize(
    "failing", [RESET, HTML, Reply(200, b""), NO_QUORUM, Reply(502, b"<html>")]
)
def test_a_read_goes_on_after_a_bad_answer(failing):
    world = World(a=failing, b=GOOD)
    assert world.send(READ).endpoint == url("b")
    assert world.order == ["b", "a"]


@pytest.mark.parametrize("request_", WRITES, ids=str)
@pytest.mark.parametrize(
    "failing, reason",
    [
        (SILENT, "no answer in time"),
        (RESET, "connection reset by peer"),
        (HTML, "is not what etcd speaks"),
        (Reply(200, b""), "is empty"),
        (NO_QUORUM, "etcdserver: request timed out"),
        (Reply(502, b"<html>"), "HTTP 502"),
        (Reply(503, b""), "HTTP 503"),
    ],
)
def test_a_write_whose_answer_is_lost_is_never_sent_again(request_, failing, reason):
    world = World(a=failing, b=GOOD)
    exc = world.fail(request_, errors.EtcdOutcomeUnknown)
    assert world.asked == "a"
    assert exc.endpoint == url("a")
    assert reason in exc.message
    assert "may or may not have been carried out" in exc.message
    assert exc.__cause__ is not None
    assert world.order == ["b", "a"]


def test_a_write_that_was_refused_once_and_then_lost_is_not_sent_a_third_time():
    world = World(a=REFUSED, b=RESET, c=GOOD)
    world.fail(WRITE, errors.EtcdOutcomeUnknown)
    assert world.asked == "ab"


@pytest.mark.parametrize("request_", [READ] + WRITES + [WATCH], ids=str)
@pytest.mark.parametrize(
    "answer, expected",
    [
        (MISSING, errors.EtcdKeyNotFound),
        (error_reply(412, 101), errors.EtcdTestFailed),
        (error_reply(401, 110), errors.EtcdUnauthorized),
        (error_reply(500, 300, cause="nodePath /1/d : Not a file ()"), errors.EtcdRaftInternal),
        (Reply(301, b"", {"Location": "/elsewhere"}), errors.EtcdInvalidResponse),
        (Reply(405, b"Method Not Allowed\n"), errors.EtcdRefused),
    ],
)
def test_the_final_word_of_an_endpoint_is_final(request_, answer, expected):
    world = World(a=[REFUSED, GOOD], b=answer, c=GOOD)
    world.fail(request_, expected)
    assert world.asked == "ab"
    assert world.order[0] == "b"


@pytest.mark.parametrize("request_", [READ] + WRITES + [WATCH], ids=str)
def test_a_server_without_v2_did_nothing_so_the_next_endpoint_is_asked(request_):
    world = World(a=WITHOUT_V2, b=GOOD)
    result = world.send(request_)
    assert (result.endpoint, result.attempts) == (url("b"), 2)
    assert world.order == ["b", "a"]


@pytest.mark.parametrize("request_", [READ] + WRITES + [WATCH], ids=str)
@pytest.mark.parametrize("others", [WITHOUT_V2, REFUSED, BAD_CERTIFICATE])
def test_where_nobody_else_answers_the_server_without_v2_is_named(request_, others):
    world = World(a=others, b=WITHOUT_V2)
    exc = world.fail(request_, errors.EtcdV2NotServed)
    assert sorted(host for host, unused in exc.errors) == [url("a"), url("b")]
    assert world.asked.count("b") == 1
    assert (world.asked == "ab") is (others is not REFUSED)


def test_an_error_of_a_server_with_v2_says_more_than_one_without():
    world = World(a=WITHOUT_V2, b=NO_QUORUM)
    assert world.fail(READ, errors.EtcdRaftInternal).endpoint == url("b")


def test_the_endpoint_that_answered_is_asked_first_next_time():
    world = World(a=REFUSED, b=GOOD, c=GOOD)
    for request in (WRITE, READ, WRITE):
        world.send(request)
    assert world.asked == "abbb"


def test_a_failed_endpoint_is_asked_again_after_a_while():
    world = World(a=[REFUSED, GOOD], b=[GOOD, REFUSED], c=REFUSED)
    world.send(WRITE)
    world.clock.sleep(1.5)
    assert world.send(WRITE).endpoint == url("a")
    assert world.asked == "abba"


def test_without_failover_only_the_first_endpoint_is_used():
    world = World(allow_failover=False, a=REFUSED, b=GOOD)
    for request in (READ, WRITE, WATCH):
        exc = world.fail(request, errors.EtcdUnreachable)
        assert exc.errors == ((url("a"), "connection refused"),)
    assert set(world.asked) == {"a"}
    assert world.order == ["a"]


def test_endpoints_are_looked_up_at_the_first_request_and_only_once():
    world = World(a=GOOD)
    assert world.lookups == 0
    world.send(READ)
    world.send(WRITE)
    assert world.lookups == 1


def test_a_lookup_that_fails_is_done_again_at_the_next_request():
    world = World(a=GOOD)
    found = world._find

    def fail_once(seconds):
        world.transport._find_endpoints = found
        raise errors.EtcdDiscoveryFailed("no name server")

    world.transport._find_endpoints = fail_once
    world.fail(READ, errors.EtcdDiscoveryFailed)
    assert world.send(READ).endpoint == url("a")


def test_send_to_asks_this_endpoint_and_no_other():
    world = World(a=GOOD, b=REFUSED)
    with pytest.raises(errors.EtcdUnreachable):
        world.transport.send_to(Endpoint("http", "b", 2379), READ)
    assert world.asked == "b"
    assert world.order == ["a", "b"]


def test_a_mistake_of_the_caller_is_raised_as_it_is():
    class Picky:
        def exchange(self, endpoint, request, patience):
            raise errors.ClientException("ca_cert cannot be used")

        start = exchange

        def begin(self, endpoint, request, patience):
            return None

    for request in (READ, WRITE):
        world = World(a=GOOD, b=GOOD)
        world.transport._http = Picky()
        with pytest.raises(errors.ClientException):
            world.send(request)


# -- nobody answers


@pytest.mark.parametrize("request_", [READ, WRITE, WATCH], ids=str)
def test_the_error_names_every_endpoint_and_why(request_):
    world = World(a=REFUSED, b=BAD_CERTIFICATE, c=BLACK_HOLE)
    exc = world.fail(request_, errors.EtcdUnreachable)
    assert sorted(exc.errors) == [
        (url("a"), "connection refused"),
        (url("b"), "TLS: bad certificate"),
        (url("c"), "no connection in time"),
    ]
    for host, reason in exc.errors:
        assert "%s: %s" % (host, reason) in str(exc)


@pytest.mark.parametrize("request_", [READ, WRITE, WATCH], ids=str)
def test_tls_that_fails_everywhere_is_a_class_of_its_own(request_):
    world = World(a=BAD_CERTIFICATE, b=BAD_CERTIFICATE)
    exc = world.fail(request_, errors.EtcdTLSFailure)
    assert len(exc.errors) == 2


@pytest.mark.parametrize("request_", [READ, WATCH], ids=str)
def test_silence_everywhere_is_a_timeout(request_):
    world = World(a=SILENT, b=SILENT)
    exc = world.fail(request_, errors.EtcdTimeout)
    assert sorted(exc.errors) == [(url("a"), "no answer in time"), (url("b"), "no answer in time")]


@pytest.mark.parametrize(
    "answer, expected",
    [
        (NO_QUORUM, errors.EtcdRaftInternal),
        (Reply(503, {"message": "During election"}), errors.EtcdServerError),
        (HTML, errors.EtcdInvalidResponse),
    ],
)
def test_an_endpoint_that_answers_with_an_error_says_more_than_silent_ones(answer, expected):
    world = World(a=REFUSED, b=answer, c=SILENT)
    with pytest.raises(expected) as caught:
        world.send(READ)
    exc = caught.value
    assert exc.endpoint == url("b")
    assert {host for host, unused in exc.errors} == {url("a"), url("b"), url("c")}
    assert "%s: connection refused" % url("a") in str(exc)


# -- further rounds


EVERY = [READ] + WRITES + [WATCH]


@pytest.mark.parametrize("request_", EVERY, ids=str)
@pytest.mark.parametrize("others", [{}, {"b": BAD_CERTIFICATE}, {"b": NO_SUCH_HOST}])
def test_an_endpoint_that_refuses_is_asked_again_with_back_off(request_, others):
    """As while a single node, or a load balancer, restarts."""
    world = World(a=[REFUSED] * 5 + [GOOD], **others)
    result = world.send(request_)
    assert result.endpoint == url("a")
    assert world.asked.count("a") == 6
    assert world.asked.count("b") == len(others)
    moments = [round(one.at - world.began, 3) for one in world.http.sent if one.host == "a"]
    assert moments == [0, 0.2, 0.6, 1.4, 2.4, 3.4]


@pytest.mark.parametrize("request_", EVERY, ids=str)
def test_all_endpoints_that_may_come_back_are_asked_again(request_):
    world = World(a=[REFUSED], b=[REFUSED, REFUSED, GOOD])
    assert world.send(request_).endpoint == url("b")
    assert world.elapsed == pytest.approx(0.6)


@pytest.mark.parametrize("request_", EVERY, ids=str)
@pytest.mark.parametrize("failing", [REFUSED, BLACK_HOLE], ids=["refused", "black hole"])
def test_they_are_asked_until_the_budget_is_over(request_, failing):
    world = World(Timeouts(2.0, 10.0, 9.0), a=failing, b=BAD_CERTIFICATE)
    exc = world.fail(request_, errors.EtcdUnreachable)
    assert 8.5 < world.elapsed <= 9.0
    assert dict(exc.errors)[url("a")] == failing.reason
    assert world.asked.count("b") == 1


@pytest.mark.parametrize("request_", EVERY, ids=str)
@pytest.mark.parametrize("failing", [REFUSED, BLACK_HOLE], ids=["refused", "black hole"])
def test_who_is_not_patient_gives_up_once_everybody_was_asked(request_, failing):
    world = World(a=failing, b=failing)
    with pytest.raises(errors.EtcdUnreachable):
        world.transport.send(request_, patient=False)
    assert world.asked == "ab"


def test_one_endpoint_that_was_named_is_not_waited_for():
    world = World(a=GOOD, b=[REFUSED, GOOD])
    with pytest.raises(errors.EtcdUnreachable):
        world.transport.send_to(Endpoint("http", "b", 2379), READ)
    assert world.elapsed == 0


@pytest.mark.parametrize("request_", [READ, WATCH], ids=str)
@pytest.mark.parametrize("passing", [RESET, Reply(502, b"<html>"), Reply(503, b"")])
def test_what_may_be_sent_twice_is_sent_again_after_an_answer_that_may_pass(request_, passing):
    """A load balancer whose server restarts takes the request, and closes the connection."""
    world = World(a=[passing] * 3 + [GOOD], c=BAD_CERTIFICATE)
    assert world.send(request_).endpoint == url("a")
    assert world.asked.count("a") == 4
    assert world.asked.count("c") == 1
    world = World(Timeouts(2.0, 10.0, 9.0), a=passing)
    with pytest.raises(errors.EtcdException):
        world.send(request_)
    assert 8.5 < world.elapsed <= 9.0


@pytest.mark.parametrize("request_", [READ, WATCH], ids=str)
def test_a_member_without_a_quorum_is_asked_twice(request_):
    """It takes 7 seconds to say so."""
    world = World(a=[NO_QUORUM, GOOD])
    assert world.send(request_).attempts == 2
    assert world.elapsed == PAUSE
    world = World(a=NO_QUORUM, b=NO_QUORUM)
    world.fail(request_, errors.EtcdRaftInternal)
    assert world.asked == "abab"


@pytest.mark.parametrize("request_", [READ, WATCH], ids=str)
@pytest.mark.parametrize("failing", [BAD_CERTIFICATE, NO_SUCH_HOST, SILENT, HTML])
def test_there_is_no_second_round_where_it_would_not_help(request_, failing):
    world = World(Timeouts(2.0, 10.0, 60.0), a=failing, b=failing)
    with pytest.raises(errors.EtcdException):
        world.send(request_)
    assert world.asked == "ab"


def test_who_was_silent_is_asked_along_with_those_that_are_asked_again():
    world = World(Timeouts(2.0, 3.0, 30.0), a=[SILENT, GOOD], b=REFUSED)
    assert world.send(READ).endpoint == url("a")


@pytest.mark.parametrize("request_", WRITES, ids=str)
def test_a_write_that_was_lost_in_a_later_round_is_unknown(request_):
    world = World(a=[REFUSED, REFUSED, RESET, GOOD])
    world.fail(request_, errors.EtcdOutcomeUnknown)
    assert world.asked == "aaa"


# -- hedging


def test_a_read_that_has_no_answer_for_a_while_is_sent_to_the_next_as_well():
    world = World(a=SILENT, b=node_reply(after=0.02))
    result = world.send(READ)
    assert (result.endpoint, result.attempts) == (url("b"), 2)
    assert [one.at - world.began for one in world.http.sent] == pytest.approx([0, HEDGE])
    assert world.elapsed == 0.12


def test_the_winner_is_preferred_and_the_silent_one_goes_to_the_back():
    """At first because it owes an answer, and then because none came in its time."""
    world = World(a=SILENT, b=node_reply(after=0.01), c=GOOD)
    world.send(READ)
    assert world.order == ["b", "c", "a"]
    world.send(WRITE)
    assert world.asked == "abb"
    assert world.transport_failures() == set()
    world.clock.sleep(10.0)
    assert world.transport_failures() == {"a"}
    assert world.order == ["b", "c", "a"]


def test_slow_is_no_fault():
    """Endpoints that answer within their time are not put to the back, whoever is faster."""
    world = World(**{host: node_reply(after=0.8) for host in "abcd"})
    world.send(READ)
    assert world.order == ["a", "b", "c", "d"]
    world.clock.sleep(1.0)
    world = World(a=node_reply(after=5.0), b=GOOD, c=GOOD)
    world.send(READ)
    assert world.order == ["b", "c", "a"], "it owes an answer"
    world.clock.sleep(5.0)
    assert world.order == ["b", "a", "c"]
    assert world.transport_failures() == set()


def test_hedges_do_not_multiply_the_load_of_a_slow_cluster():
    """Before the client has seen an answer there is one hedge, and then it knows."""
    world = World(**{host: node_reply(after=0.8) for host in "abcd"})
    for unused in range(10):
        world.send(READ)
    assert len(world.http.sent) <= 12
    assert world.transport_failures() == set()


@pytest.mark.parametrize("answer", [GOOD, MISSING])
def test_every_answer_teaches_what_is_slow(answer):
    world = World(a=[answer._replace(after=0.8)] * 3, b=SILENT, c=SILENT)
    for unused in range(3):
        try:
            world.send(READ)
        except errors.EtcdKeyNotFound:
            continue
    assert world.asked.count("a") == 3
    assert world.asked.count("b") == 1


def test_a_fast_client_that_sees_a_late_answer_asks_several():
    """It has reason to believe that something is wrong with the first ones."""
    world = World(a=[GOOD, SILENT], b=SILENT, c=SILENT, d=GOOD)
    world.send(READ)
    began = world.clock.now
    assert world.send(READ).endpoint == url("d")
    assert [one.at - began for one in world.http.sent[1:]] == pytest.approx([0, 0.1, 0.3, 0.7])


def test_what_was_slow_once_is_forgotten():
    world = World(a=[node_reply(after=3.0)] + [GOOD] * 8 + [SILENT], b=node_reply(after=0.01))
    for unused in range(9):
        world.send(READ)
        world.clock.sleep(5.0)
        world.transport._pool().answered(Endpoint("http", "a", 2379))
    began = world.clock.now
    assert world.send(READ).endpoint == url("b")
    assert world.clock.now - began == pytest.approx(0.11)


#: Half of an answer, and then nothing.
STALLED = Reply(
    failure=Failure.TIMEOUT, reason="no answer in time", after=FOR_EVER, pieces=[(0.01, 500)]
)

#: An answer of 20 MB that comes at 10 MB a second, and one that comes byte by byte.
LARGE = node_reply(after=2.0)._replace(pieces=[(0.05 * number, 500000) for number in range(1, 40)])
DRIP = node_reply(after=2.0)._replace(pieces=[(0.05 * number, 1) for number in range(1, 40)])


@pytest.mark.parametrize("open_", [set(), {"a"}], ids=["new", "open"])
@pytest.mark.parametrize("reply", [STALLED, DRIP], ids=["stalled", "drip"])
def test_a_hedge_covers_the_whole_answer(reply, open_):
    world = World(a=reply, b=node_reply(after=0.02))
    world.http.connected = open_
    assert world.send(READ).endpoint == url("b")
    assert world.elapsed == pytest.approx(0.13, abs=0.01)


@pytest.mark.parametrize("open_", [set(), {"a"}], ids=["new", "open"])
def test_an_answer_that_is_merely_large_is_not_hedged(open_):
    world = World(a=LARGE, b=GOOD)
    world.http.connected = open_
    assert world.send(READ).endpoint == url("a")
    assert world.asked == "a"
    assert world.elapsed == 2.0


def test_a_read_that_is_answered_in_time_is_sent_once():
    world = World(a=node_reply(after=0.09), b=GOOD)
    assert world.send(READ).attempts == 1
    assert world.asked == "a"


def test_the_slow_one_can_still_win():
    world = World(a=node_reply(after=0.15), b=SILENT)
    assert world.send(READ).endpoint == url("a")
    assert world.order == ["a", "b"]
    assert world.elapsed == 0.15


@pytest.mark.parametrize("open_", [set(), {"a"}], ids=["new", "open"])
def test_a_client_that_has_seen_no_answer_has_one_hedge_for_long(open_):
    """It cannot know what is slow; a quarter of the time for one answer is, by its settings."""
    world = World(a=SILENT, b=SILENT, c=SILENT, d=GOOD)
    world.http.connected = open_
    world.send(READ)
    moments = [one.at - world.began for one in world.http.sent]
    assert moments == pytest.approx([0, 0.1, 2.6, 5.1])


def test_an_endpoint_that_has_not_got_the_request_has_no_load_from_it():
    world = World(a=BLACK_HOLE, b=BLACK_HOLE, c=BLACK_HOLE, d=GOOD)
    world.send(READ)
    assert [one.at - world.began for one in world.http.sent] == pytest.approx([0, 0.1, 0.3, 0.7])


def test_a_failure_starts_the_next_at_once():
    world = World(a=SILENT, b=REFUSED, c=GOOD)
    assert world.send(READ).endpoint == url("c")
    assert world.elapsed == HEDGE


def test_a_final_word_ends_the_race():
    world = World(a=SILENT, b=MISSING, c=GOOD)
    world.fail(READ, errors.EtcdKeyNotFound)
    assert world.asked == "ab"
    assert world.order == ["b", "c", "a"]


@pytest.mark.parametrize("request_", WRITES + [WATCH], ids=str)
def test_writes_and_watches_are_never_raced(request_):
    world = World(a=node_reply(after=5.0), b=GOOD)
    assert world.send(request_).endpoint == url("a")
    assert world.asked == "a"
    assert world.elapsed == 5.0


def test_a_read_of_one_endpoint_waits_for_it():
    world = World(a=node_reply(after=5.0))
    assert world.send(READ).attempts == 1


def connected(**script):
    """A world in which a connection to the first endpoint is open."""
    world = World(**script)
    world.http.connected = {"a"}
    return world


def test_on_an_open_connection_the_answer_is_waited_for_in_the_same_way():
    world = connected(a=node_reply(after=0.09), b=GOOD)
    result = world.send(READ)
    assert (result.endpoint, result.attempts) == (url("a"), 1)
    assert (world.asked, world.elapsed) == ("a", 0.09)


def test_on_an_open_connection_a_silent_endpoint_is_hedged_too():
    world = connected(a=SILENT, b=GOOD)
    assert world.send(READ).endpoint == url("b")
    assert world.elapsed == HEDGE


def test_on_an_open_connection_the_slow_one_can_still_win():
    world = connected(a=node_reply(after=0.15), b=SILENT)
    assert world.send(READ).endpoint == url("a")
    assert world.elapsed == 0.15


@pytest.mark.parametrize("failing", [RESET, HTML, NO_QUORUM])
def test_on_an_open_connection_a_failure_starts_the_next_at_once(failing):
    world = connected(a=failing, b=GOOD)
    assert world.send(READ).endpoint == url("b")
    assert world.elapsed == 0.0


def test_on_an_open_connection_a_final_word_is_final():
    world = connected(a=MISSING, b=GOOD)
    world.fail(READ, errors.EtcdKeyNotFound)
    assert world.asked == "a"


def test_on_an_open_connection_the_budget_holds_and_there_is_one_more_pass():
    world = connected(a=[RESET, GOOD], b=REFUSED)
    assert world.send(READ).endpoint == url("a")
    assert (world.asked, world.elapsed) == ("aba", PAUSE)


@pytest.mark.parametrize("request_", WRITES + [WATCH], ids=str)
def test_on_an_open_connection_writes_and_watches_are_not_raced_either(request_):
    world = connected(a=node_reply(after=5.0), b=GOOD)
    assert world.send(request_).endpoint == url("a")
    assert world.asked == "a"


# -- the budget


def test_the_whole_operation_has_one_budget():
    world = World(Timeouts(2.0, 10.0, 3.0), a=BLACK_HOLE, b=BLACK_HOLE, c=GOOD)
    exc = world.fail(WRITE, errors.EtcdTimeout)
    assert world.elapsed == 3.0
    assert [one.connect for one in world.http.sent] == [2.0, 1.0]
    assert dict(exc.errors)[url("c")] == "not tried, no time was left"


def test_a_read_has_the_same_budget():
    world = World(Timeouts(2.0, 10.0, 3.0), a=SILENT, b=SILENT)
    world.fail(READ, errors.EtcdTimeout)
    assert world.elapsed == 3.0
    assert [one.read for one in world.http.sent] == pytest.approx([3.0, 2.9])


def test_an_endpoint_that_is_being_connected_to_at_the_end_had_no_request():
    late = BLACK_HOLE._replace(overrun=0.01)
    world = World(Timeouts(9.0, 10.0, 5.0), a=late, b=REFUSED, c=SILENT)
    exc = world.fail(READ, errors.EtcdTimeout)
    assert dict(exc.errors) == {
        url("a"): "no connection in time",
        url("b"): "connection refused",
        url("c"): "no answer in time",
    }


def test_a_call_that_heeds_no_timeout_does_not_hold_a_read():
    stuck = Reply(after=FOR_EVER)
    world = World(Timeouts(2.0, 10.0, 3.0), a=stuck, b=REFUSED, c=stuck)
    exc = world.fail(READ, errors.EtcdTimeout)
    assert world.elapsed == 3.0
    assert {host for host, unused in exc.errors} == {url("a"), url("b"), url("c")}


@pytest.mark.parametrize("request_", [READ, WRITE, WATCH], ids=str)
def test_finding_the_endpoints_is_inside_the_budget(request_):
    world = World(Timeouts(2.0, 10.0, 3.0), a=BLACK_HOLE, b=BLACK_HOLE)
    world.lookup_takes = 1.5
    world.fail(request_, errors.EtcdTimeout)
    assert world.elapsed == 3.0
    assert world.http.sent[0].connect == 1.5


@pytest.mark.parametrize("open_", [set(), {"a"}], ids=["new", "open"])
@pytest.mark.parametrize(
    "first", [GOOD, REFUSED, SILENT, STALLED], ids=["good", "refused", "silent", "stalled"]
)
def test_a_clock_that_goes_on_by_itself_changes_nothing(first, open_):
    world = World(a=first, b=GOOD)
    world.http.connected = open_
    world.clock.tick = 0.001
    assert world.send(READ).node.value == "v"
    assert world.elapsed < HEDGE + 0.1


def test_a_lost_write_that_used_up_the_budget_is_still_unknown():
    world = World(Timeouts(2.0, 10.0, 3.0), a=SILENT, b=GOOD)
    world.fail(WRITE, errors.EtcdOutcomeUnknown)
    assert world.asked == "a"
    assert world.elapsed == 3.0


def test_each_operation_has_a_budget_of_its_own():
    world = World(Timeouts(2.0, 10.0, 3.0), a=[BLACK_HOLE, GOOD], b=[BLACK_HOLE, GOOD])
    world.fail(WRITE, errors.EtcdTimeout)
    assert world.send(WRITE).attempts == 1


# -- watches


@pytest.mark.parametrize(
    "broken",
    [
        Reply(failure=Failure.BROKEN, reason="reset", index=41),
        Reply(failure=Failure.TIMEOUT, reason="no answer in time", index=41),
        Reply(200, b"", {"X-Etcd-Index": "41"}),
    ],
    ids=["broken", "silent", "empty"],
)
def test_a_watch_that_broke_after_its_head_tells_where_to_go_on(broken):
    world = World(a=broken, b=GOOD)
    exc = world.fail(WATCH, errors.EtcdWatchTimeout)
    assert (exc.index, exc.endpoint) == (41, url("a"))
    assert world.asked == "a"


@pytest.mark.parametrize("broken", [RESET, SILENT, Reply(200, b"")])
def test_a_watch_that_broke_before_its_head_is_sent_elsewhere(broken):
    world = World(a=broken, b=GOOD)
    assert world.send(WATCH).endpoint == url("b")


# -- everybody at once


def ends(outcomes):
    """How each outcome of one endpoint ended, and what was measured."""
    return [
        (
            outcome.failure.name if isinstance(outcome, AttemptFailed) else type(outcome).__name__,
            seconds,
        )
        for outcome, seconds in outcomes
    ]


def in_turn(world, hosts, count=1, request=READ):
    endpoints = [Endpoint("http", host, 2379) for host in hosts]
    return world.transport.send_in_turn([(one, [request] * count) for one in endpoints])


def test_all_endpoints_are_asked_at_the_same_time_and_each_for_one_thing_after_the_other():
    world = World(a=node_reply(after=0.5), b=NO_QUORUM)
    answers = in_turn(world, "ab", count=3)
    assert [ends(one) for one in answers] == [
        [("EtcdResult", None)] * 3,
        [("EtcdRaftInternal", None)] * 3,
    ]
    sent = sorted((one.host, one.at - world.began) for one in world.http.sent)
    assert sent == [("a", 0.0), ("a", 0.5), ("a", 1.0), ("b", 0.0), ("b", 0.0), ("b", 0.0)]
    assert world.elapsed == 1.5


@pytest.mark.parametrize(
    "reply, failure, elapsed",
    [
        (REFUSED, "NOT_SENT", 0.0),
        (BLACK_HOLE, "NOT_SENT", 2.0),
        (SILENT, "TIMEOUT", 10.0),
        (RESET, "BROKEN", 0.0),
        (BAD_CERTIFICATE, "TLS", 0.0),
    ],
)
def test_an_endpoint_without_an_answer_is_asked_once(reply, failure, elapsed):
    world = World(a=reply, b=GOOD)
    silent, good = in_turn(world, "ab", count=3)
    assert [one for one, unused in ends(silent)] == [failure] * 3
    assert world.http.hosts.count("a") == 1
    assert ends(good) == [("EtcdResult", None)] * 3
    assert world.elapsed == elapsed


def test_what_was_answered_before_the_silence_is_kept():
    world = World(a=[GOOD, SILENT])
    (answers,) = in_turn(world, "a", count=3)
    assert [one for one, unused in ends(answers)] == ["EtcdResult", "TIMEOUT", "TIMEOUT"]
    assert len(world.http.sent) == 2
    assert world.elapsed == 10.0


def test_a_connection_that_ends_between_two_answers_is_replaced():
    world = World(a=[GOOD, RESET, GOOD])
    (answers,) = in_turn(world, "a", count=3)
    assert [one for one, unused in ends(answers)] == ["EtcdResult", "BROKEN", "EtcdResult"]


def test_an_answer_is_timed_on_an_open_connection_only():
    world = World(a=[node_reply(after=0.25), node_reply(after=0.75)])
    world.http.connected.add("a")
    assert ends(in_turn(world, "a", count=2)[0]) == [("EtcdResult", 0.25), ("EtcdResult", 0.75)]


def test_all_requests_together_take_no_longer_than_the_total():
    world = World(Timeouts(2.0, 10.0, 15.0), a=node_reply(after=6.0))
    (answers,) = in_turn(world, "a", count=5)
    assert [one for one, unused in ends(answers)] == ["EtcdResult"] * 2 + ["TIMEOUT"] * 3
    assert world.elapsed == 15.0


def test_a_call_that_heeds_no_timeout_is_not_waited_for():
    world = World(a=Reply(after=FOR_EVER), b=GOOD)
    stuck, good = in_turn(world, "ab", count=2)
    assert ends(stuck) == [("TIMEOUT", None)] * 2
    assert ends(good) == [("EtcdResult", None)] * 2
    assert world.elapsed == 12.0


def test_asking_everybody_leaves_the_order_of_endpoints_alone():
    world = World(a=REFUSED, b=GOOD)
    in_turn(world, "ab", request=_wire.read_api(Api.SERVER, "/health"))
    assert world.order == ["a", "b"]


def test_credentials_go_to_the_clusters_own_endpoints_only():
    world = World(a=GOOD, b=GOOD)
    world.http._script["x"] = world.http._script["a"]
    in_turn(world, "ax")
    stranger, own = Endpoint("http", "x", 2379), Endpoint("http", "b", 2379)
    world.transport.send_to(stranger, READ)
    world.transport.send_to(own, READ)
    # The same host and port over another scheme is not what was configured.
    world.http._script["a"].append(GOOD)
    world.transport.send_to(Endpoint("https", "a", 2379), READ)
    assert [(one.host, one.anonymous) for one in world.http.sent] == [
        ("a", False),
        ("x", True),
        ("x", True),
        ("b", False),
        ("a", True),
    ]
