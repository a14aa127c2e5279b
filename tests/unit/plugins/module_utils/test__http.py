# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests, answers and failures, over sockets in memory."""

from __future__ import annotations

import dataclasses
import errno
import http.client
import socket
import ssl
import threading
import time

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _adapter, _http, _lines
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    AttemptFailed,
    Endpoint,
    Failure,
    Patience,
    Tls,
)
from ansible_collections.quorum.etcd.plugins.module_utils._wire import (
    read_key,
    wait_key,
    write_key,
)
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException
from ansible_collections.quorum.etcd.tests.unit.fakes.network import FakeClock
from urllib3 import exceptions as kinds
from urllib3.connection import CertificateError

CONNECTION = None


def because(exc, cause):
    """The exception as it is while `cause` is handled."""
    exc.__context__ = cause
    return exc


REFUSED = OSError(errno.ECONNREFUSED, "Connection refused")
RESET = OSError(errno.ECONNRESET, "Connection reset by peer")
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
LATE = socket.timeout("timed out")


def tls(reason):
    exc = ssl.SSLError(1, "[SSL: %s] something (_ssl.c:1)" % reason)
    exc.reason = reason
    return exc


def bad_certificate():
    exc = ssl.SSLCertVerificationError(1, "certificate verify failed")
    exc.verify_message = "unable to get local issuer certificate"
    return exc


def end_of_stream():
    exc = ssl.SSLEOFError(8, "EOF occurred in violation of protocol (_ssl.c:1)")
    exc.reason = "UNEXPECTED_EOF_WHILE_READING"
    return exc


def no_such_name():
    """What the urllib3 that is installed (1.26 or 2) raises."""
    if hasattr(kinds, "NameResolutionError"):
        return because(kinds.NameResolutionError("etcd1", CONNECTION, NO_NAME), NO_NAME)
    return because(kinds.NewConnectionError(CONNECTION, "Failed: %s" % NO_NAME), NO_NAME)


NO_CONNECTION = because(
    kinds.NewConnectionError(CONNECTION, "Failed to establish a new connection: %s" % REFUSED),
    REFUSED,
)

BEFORE = [
    (NO_CONNECTION, Failure.NOT_SENT, "connection refused"),
    (no_such_name(), Failure.UNUSABLE, "name or service not known"),
    (
        because(kinds.ConnectTimeoutError(CONNECTION, "Connection to etcd1 timed out."), LATE),
        Failure.NOT_SENT,
        "no connection in time",
    ),
    (LATE, Failure.NOT_SENT, "no connection in time"),
    (RESET, Failure.NOT_SENT, "connection reset by peer"),
    (kinds.LocationParseError("etcd1:x"), Failure.UNUSABLE, "etcd1:x"),
    (OSError("Tunnel connection failed: 403 Forbidden"), Failure.UNUSABLE, "403 Forbidden"),
    (OSError("Tunnel connection failed: 503 No server"), Failure.NOT_SENT, "503 No server"),
    (kinds.ProxyError("Cannot connect to proxy.", NO_CONNECTION), Failure.NOT_SENT, "refused"),
    (http.client.RemoteDisconnected("x"), Failure.NOT_SENT, "closed without an answer"),
    (http.client.BadStatusLine("SSH-2.0"), Failure.UNUSABLE, "the answer is not HTTP"),
    (
        bad_certificate(),
        Failure.TLS,
        "TLS: the certificate is not accepted: unable to get local issuer certificate",
    ),
    (kinds.SSLError(bad_certificate()), Failure.TLS, "the certificate is not accepted"),
    (tls("SSLV3_ALERT_BAD_CERTIFICATE"), Failure.TLS, "TLS: sslv3 alert bad certificate"),
    (tls("WRONG_VERSION_NUMBER"), Failure.TLS, "TLS: wrong version number"),
    (tls("UNSUPPORTED_PROTOCOL"), Failure.TLS, "TLS: unsupported protocol"),
    # A load balancer without a server to pass the handshake on to.
    (end_of_stream(), Failure.NOT_SENT, "TLS: unexpected eof while reading"),
    (ssl.SSLError("no reason"), Failure.TLS, "no reason"),
]

AFTER = [
    (LATE, Failure.TIMEOUT, "no answer in time"),
    (RESET, Failure.BROKEN, "connection reset by peer"),
    (OSError(errno.EPIPE, "Broken pipe"), Failure.BROKEN, "broken pipe"),
    # The stream may also end after the request was read.
    (end_of_stream(), Failure.BROKEN, "TLS: unexpected eof while reading"),
    (tls("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), Failure.BROKEN, "decryption failed"),
    (ssl.SSLError("no reason"), Failure.BROKEN, "no reason"),
    # Alerts that may come at any time.
    (tls("SSLV3_ALERT_BAD_RECORD_MAC"), Failure.BROKEN, "alert bad record mac"),
    (tls("SSLV3_ALERT_UNEXPECTED_MESSAGE"), Failure.BROKEN, "alert unexpected message"),
    (tls("TLSV1_ALERT_RECORD_OVERFLOW"), Failure.BROKEN, "alert record overflow"),
    (tls("TLSV1_ALERT_DECODE_ERROR"), Failure.BROKEN, "alert decode error"),
    (tls("TLSV1_ALERT_INTERNAL_ERROR"), Failure.BROKEN, "alert internal error"),
    (tls("TLSV1_ALERT_USER_CANCELLED"), Failure.BROKEN, "alert user cancelled"),
    (tls("TLSV1_ALERT_NO_RENEGOTIATION"), Failure.BROKEN, "alert no renegotiation"),
    # Not an alert of the server, whatever the name says.
    (tls("CERTIFICATE_REQUIRED"), Failure.BROKEN, "certificate required"),
]

#: With TLS 1.3 the server's verdict on our certificate comes after our handshake, as an alert.
VERDICTS = [
    tls(reason)
    for reason in (
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_UNRECOGNIZED_NAME",
    )
]


def throw(exc):
    raise exc


def name_of(one):
    return type(one).__name__ if isinstance(one, Exception) else None


UNSENDABLE = "a connection that breaks while the request is sent"


class FakeSocket:
    """A connected socket: keeps what is sent, gives what it was given to answer, then ends.

    What it has to wait for longer than its timeout does not come, as with real ones: a piece comes
    `drip` seconds after the one before it, and LATE is a silence of an hour.

    Args:
        takes: bytes that one call of `send` takes over, each of which takes `drip` seconds too.
    """

    def __init__(self, *answer, clock, drip=0.0, takes=1 << 30):
        self._answer = list(answer)
        self._clock = clock
        self._drip = drip
        self._takes = takes
        self._due = None
        self._timeout = None
        self.sent = b""
        self.timeouts = []
        self.closed = False

    def setsockopt(self, *unused):
        """As of a socket."""

    def settimeout(self, seconds):
        self._timeout = seconds
        if not self.timeouts or self.timeouts[-1] != seconds:
            self.timeouts.append(seconds)

    def _wait(self, seconds):
        """Whether this much time may pass; if not, as much of it as may."""
        if self._timeout is not None and seconds > self._timeout:
            self._clock.sleep(self._timeout)
            raise LATE
        self._clock.sleep(seconds)

    def send(self, data):
        if self._answer == [UNSENDABLE]:
            raise RESET
        if self._takes < len(data):
            self._wait(self._drip)
        self.sent += bytes(data[: self._takes])
        return min(len(data), self._takes)

    def close(self):
        self.closed = True

    def recv(self, most):
        piece = self._answer[0] if self._answer else b""
        if self._due is None:
            self._due = self._clock.now + (3600.0 if piece is LATE else self._drip)
        self._wait(max(self._due - self._clock.now, 0.0))
        self._due = None
        del self._answer[:1]
        return piece if isinstance(piece, bytes) else throw(piece)


class FakeConnection:
    """A connection of urllib3's that is made without a network, or not."""

    def __init__(self, sock, failing=None, opened=False):
        self._made = sock
        self._failing = failing
        self.sock = sock if opened else None
        self.timeout = None
        self.made = 0

    def connect(self):
        self.made += 1
        if self._failing is not None:
            raise self._failing
        self.sock = self._made

    def close(self):
        if self.sock is not None:
            self.sock.close()
        self.sock = None


class FakePool:
    """Takes the place of a pool of urllib3 with one connection.

    Attributes:
        out: how many connections were taken and not given back.
        kept: the connections that can be used again.
    """

    proxy = None

    def __init__(self, connection):
        self.connection = connection
        self.out = 0
        self.kept = []

    def _get_conn(self):
        self.out += 1
        return self.connection

    def _put_conn(self, connection):
        self.out -= 1
        self.kept = [] if connection is None else [connection]


ENDPOINT = Endpoint("http", "etcd1", 2379)
PATIENCE = Patience(2.0, 3.0, 20.0)
HEAD = b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 41\r\n"
ANSWER = HEAD + b'Content-Length: 7\r\n\r\n{"a":1}'
READ = read_key("v2", "/k", {})
WRITE = write_key("v2", "/k", {"value": "v"})
IN_ORDER = write_key("v2", "/k", {"value": "v"}, method="POST")
WATCH = wait_key("v2", "/k", {}, 60.0)


class Wire:
    """An Http whose one endpoint is at the other end of a socket in memory."""

    def __init__(self, *answer, failing=None, opened=False, drip=0.0, takes=1 << 30, **options):
        self.clock = FakeClock()
        self.sock = FakeSocket(*answer, clock=self.clock, drip=drip, takes=takes)
        self.connection = FakeConnection(self.sock, failing, opened)
        self.pool = FakePool(self.connection)
        self.http = _http.Http(tls=Tls(), clock=self.clock, **options)
        self.line = _adapter.AdapterLine(self.pool, (kinds.HTTPError,), CertificateError)
        self.http._open = lambda endpoint: self.line

    def exchange(self, request, patience=PATIENCE):
        return self.http.exchange(ENDPOINT, request, patience)

    def fail(self, request, patience=PATIENCE):
        with pytest.raises(AttemptFailed) as caught:
            self.exchange(request, patience)
        assert (self.pool.out, self.pool.kept) == (0, []), "the connection must not be used again"
        assert self.connection.sock is None
        return caught.value


def test_a_request_is_sent_as_it_is():
    wire = Wire(ANSWER, authorization="Basic abc")
    wire.exchange(WRITE)
    head, unused, body = wire.sock.sent.partition(b"\r\n\r\n")
    first, *rest = head.split(b"\r\n")
    assert first == b"PUT /v2/keys/k HTTP/1.1"
    assert sorted(rest) == [
        b"Accept-Encoding: identity",
        b"Authorization: Basic abc",
        b"Content-Length: 7",
        b"Content-Type: application/x-www-form-urlencoded",
        b"Host: etcd1:2379",
        b"User-Agent: quorum.etcd",
    ]
    assert body == b"value=v"
    assert wire.connection.timeout == 2.0
    assert wire.sock.timeouts == [3.0]


def test_an_anonymous_request_goes_without_credentials_over_the_same_connection():
    wire = Wire(ANSWER, ANSWER, authorization="Basic abc")
    wire.exchange(dataclasses.replace(READ, anonymous=True))
    assert b"abc" not in wire.sock.sent and b"uthorization" not in wire.sock.sent
    wire.exchange(READ)
    assert wire.sock.sent.count(b"Authorization: Basic abc\r\n") == 1
    assert wire.sock.sent.count(b" HTTP/1.1\r\n") == 2
    assert not wire.sock.closed


def test_threads_that_come_at_the_same_time_share_what_leads_to_an_endpoint():
    wire = Wire(*[ANSWER] * 8)
    opened = []

    def open_slowly(endpoint):
        opened.append(endpoint)
        time.sleep(0.05)
        return wire.line

    wire.http._open = open_slowly
    threads = [threading.Thread(target=wire.exchange, args=(READ,)) for unused in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [ENDPOINT]


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer, body",
    [
        ([ANSWER], b'{"a":1}'),
        ([HEAD, b"Content-Length: 7\r\n", b'\r\n{"a', b'":1}'], b'{"a":1}'),
        ([CHUNKED, b'3\r\n{"a\r\n', b'4\r\n":1}\r\n', b"0\r\n\r\n"], b'{"a":1}'),
    ],
)
def test_an_answer_is_read_whole_and_the_connection_kept(answer, body):
    wire = Wire(*answer)
    found = wire.exchange(READ)
    assert (found.body, found.endpoint) == (body, ENDPOINT)
    assert (wire.pool.out, wire.pool.kept) == (0, [wire.connection])


@pytest.mark.parametrize(
    "answer",
    [
        [HEAD + b'Connection: close\r\n\r\n{"a', b'":1}'],
        [HEAD + b'Connection: close\r\nContent-Length: 7\r\n\r\n{"a":1}'],
        [ANSWER + b"HTTP/1.1 200 OK\r\n"],
    ],
)
def test_a_connection_that_cannot_be_used_again_is_not_kept(answer):
    wire = Wire(*answer)
    assert wire.exchange(READ).body == b'{"a":1}'
    assert (wire.pool.out, wire.pool.kept) == (0, [])
    assert wire.sock.closed


def test_the_head_of_an_answer_is_blind_to_case():
    found = Wire(ANSWER).exchange(READ)
    assert found.status == 200
    assert found.headers.get("x-etcd-index") == found.headers.get("X-Etcd-Index") == "41"


def test_a_redirect_is_not_followed():
    wire = Wire(b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
    assert wire.exchange(WRITE).status == 301
    assert wire.sock.sent.count(b"PUT ") == 1


def test_the_same_connection_serves_the_next_request():
    wire = Wire(ANSWER, ANSWER)
    wire.exchange(READ)
    wire.exchange(WRITE)
    assert wire.sock.sent.count(b" HTTP/1.1\r\n") == 2
    assert not wire.sock.closed


@pytest.mark.parametrize("exc, failure, reason", BEFORE, ids=name_of)
def test_what_fails_before_there_is_a_connection_was_not_sent(exc, failure, reason):
    failed = Wire(failing=exc).fail(WRITE)
    assert failed.failure is failure
    assert reason in failed.reason
    assert "0x" not in failed.reason and "Errno" not in failed.reason
    assert failed.index is None


@pytest.mark.parametrize("exc, failure, reason", AFTER, ids=name_of)
@pytest.mark.parametrize("head", [[], [HEAD + b"Content-Length: 7\r\n\r\n{"]], ids=["", "head"])
def test_what_fails_afterwards_may_have_been_carried_out(exc, failure, reason, head):
    failed = Wire(*(head + [exc])).fail(WRITE)
    assert failed.failure is failure
    assert reason in failed.reason
    assert "0x" not in failed.reason and "Errno" not in failed.reason


@pytest.mark.parametrize("exc", VERDICTS, ids=lambda one: one.reason)
def test_an_alert_that_refuses_a_certificate_says_that_nothing_was_read(exc):
    failed = Wire(exc).fail(WRITE)
    assert failed.failure is Failure.TLS
    assert exc.reason.lower().replace("_", " ") in failed.reason


@pytest.mark.parametrize("exc", VERDICTS, ids=lambda one: one.reason)
def test_no_alert_says_so_once_the_server_has_answered(exc):
    wire = Wire(ANSWER, exc)
    wire.exchange(READ)
    assert wire.fail(WRITE).failure is Failure.BROKEN
    assert Wire(b"HTTP/1.1 2", exc).fail(WRITE).failure is Failure.BROKEN
    assert Wire(exc, opened=True).fail(WRITE).failure is Failure.BROKEN


def test_a_request_that_breaks_while_it_is_sent_may_have_been_carried_out():
    assert Wire(UNSENDABLE).fail(WRITE).failure is Failure.BROKEN


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [b""],
        [b"HTTP/1.1 20"],
        [b"SSH-2.0-OpenSSH\r\n"],
        [HEAD + b'Content-Length: 9\r\n\r\n{"a":1}'],
        [CHUNKED],
        [CHUNKED + b'7\r\n{"a'],
        [CHUNKED + b'3\r\n{"a\r\n'],
        [CHUNKED + b"x\r\n"],
    ],
)
def test_an_answer_that_does_not_end_well_is_broken(answer):
    assert Wire(*answer).fail(READ).failure is Failure.BROKEN


#: What etcd sends where it speaks gRPC only.
SETTINGS = b"\0\0\6\4\0\0\0\0\0\0\5\0\0@\0"


def test_a_port_that_speaks_grpc_only_has_carried_nothing_out():
    failed = Wire(SETTINGS, RESET).fail(WRITE)
    assert failed.failure is Failure.NOT_SERVED
    assert "use one of those" in failed.reason
    wire = Wire(ANSWER, SETTINGS)
    wire.exchange(READ)
    assert wire.fail(WRITE).failure is Failure.BROKEN, "it knew HTTP before"


@pytest.mark.parametrize(
    "scheme, base, before, says",
    [
        ("http", "", (), "write https://"),
        ("http", "", (ANSWER,), None),
        ("http", "http://etcd1:2379", (), None),
        ("https", "", (), "gRPC only"),
        ("https", "", (ANSWER,), None),
    ],
    ids=["http", "http later", "through a proxy", "https", "https later"],
)
def test_a_port_that_hangs_up_may_be_another(scheme, base, before, says):
    wire = Wire(*before)
    wire.line.base = base
    endpoint = Endpoint(scheme, "etcd1", 2379)
    for unused in before:
        wire.http.exchange(endpoint, READ, PATIENCE)
    with pytest.raises(AttemptFailed) as caught:
        wire.http.exchange(endpoint, READ, PATIENCE)
    assert caught.value.failure is Failure.BROKEN
    closed = "the connection was closed without an answer"
    assert caught.value.reason.startswith(closed)
    assert says in caught.value.reason if says else caught.value.reason == closed


def secured(wire, **options):
    """The same line as one with TLS."""
    wire.line = _adapter.AdapterLine(
        wire.pool, (kinds.HTTPError,), CertificateError, lambda: None, **options
    )
    return wire


@pytest.mark.parametrize(
    "exc, says",
    [
        (end_of_stream(), True),
        (tls("WRONG_VERSION_NUMBER"), True),
        (RESET, True),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), False),
        (bad_certificate(), False),
        (LATE, False),
        (REFUSED, False),
    ],
    ids=name_of,
)
def test_a_port_without_tls_may_be_one_for_http(exc, says):
    failed = secured(Wire(failing=exc)).fail(WRITE)
    assert ("if this is a port for http" in failed.reason) is says
    assert "port for http" not in Wire(failing=exc).fail(WRITE).reason


@pytest.mark.parametrize("identified", [True, False], ids=["shown", "none"])
@pytest.mark.parametrize(
    "reason, asks",
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", True),
        ("SSLV3_ALERT_BAD_CERTIFICATE", True),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", True),
        ("TLSV1_ALERT_UNKNOWN_CA", False),
    ],
)
def test_a_server_that_asks_for_a_certificate(reason, asks, identified):
    for wire in (Wire(failing=tls(reason)), Wire(tls(reason))):
        failed = secured(wire, identified=identified).fail(WRITE)
        assert failed.failure is Failure.TLS
        assert ("set client_cert and client_key" in failed.reason) is (asks and not identified)


@pytest.mark.parametrize(
    "drops",
    [
        [CHUNKED] + [b"1\r\nx\r\n"] * 50,
        [b"HTTP/1.1 200 OK\r\n"] + [b"X-More: yes\r\n"] * 50,
        [b"HTTP/1.1 100 Continue\r\n\r\n"] * 50,
    ],
    ids=["body", "head", "many heads"],
)
def test_an_answer_that_drips_is_held_to_the_budget(drops):
    wire = Wire(*drops, drip=1.0)
    failed = wire.fail(READ, Patience(2.0, 3.0, 5.0))
    assert (failed.failure, failed.reason) == (Failure.TIMEOUT, "no answer in time")
    assert wire.clock.now - 1000.0 <= 7.0


def test_an_answer_that_comes_steadily_may_take_longer_than_a_silence():
    wire = Wire(HEAD, b"Content-Length: 9\r\n\r\n", *[b"x"] * 9, drip=2.5)
    assert wire.exchange(READ, Patience(2.0, 3.0, 60.0)).body == b"x" * 9
    assert wire.clock.now - 1000.0 > 20.0


def test_a_message_that_goes_steadily_may_take_longer_than_a_silence():
    wire = Wire(ANSWER, drip=2.5, takes=20)
    wire.exchange(WRITE, Patience(2.0, 3.0, 60.0))
    assert wire.sock.sent.endswith(b"\r\n\r\nvalue=v")
    assert wire.clock.now - 1000.0 > 20.0


@pytest.mark.parametrize("drip, seconds", [(3.5, 3.0), (2.5, 10.0)], ids=["silence", "budget"])
def test_a_message_that_goes_too_slowly_may_have_been_carried_out(drip, seconds):
    wire = Wire(ANSWER, drip=drip, takes=20)
    assert wire.fail(WRITE, Patience(2.0, 3.0, 10.0)).failure is Failure.TIMEOUT
    assert wire.clock.now - 1000.0 == seconds


def test_the_last_silence_is_held_to_what_is_left_of_the_budget():
    wire = Wire(HEAD, *[b"X: y\r\n"] * 9, drip=1.0)
    wire.fail(READ, Patience(2.0, 3.0, 5.0))
    assert wire.sock.timeouts == [3.0, 2.0, 1.0]


def test_a_watch_may_be_silent_as_long_as_its_request_says():
    wire = Wire(CHUNKED, b"2\r\n{}\r\n0\r\n\r\n")
    assert wire.exchange(WATCH).body == b"{}"
    assert wire.sock.timeouts == [3.0, 60.0]


@pytest.mark.parametrize(
    "answer, failure, index",
    [
        ([CHUNKED, LATE], Failure.TIMEOUT, 41),
        ([CHUNKED, RESET], Failure.BROKEN, 41),
        ([CHUNKED], Failure.BROKEN, 41),
        ([LATE], Failure.TIMEOUT, None),
        ([RESET], Failure.BROKEN, None),
    ],
)
def test_a_watch_that_fails_after_its_head_tells_its_index(answer, failure, index):
    failed = Wire(*answer).fail(WATCH)
    assert (failed.failure, failed.index) == (failure, index)


def test_begin_needs_an_open_connection():
    wire = Wire(ANSWER)
    assert wire.http.begin(ENDPOINT, READ, PATIENCE) is None
    wire.http._way(ENDPOINT)
    assert wire.http.begin(ENDPOINT, READ, PATIENCE) is None
    assert wire.pool.out == 0
    assert wire.sock.sent == b""
    assert wire.http.begin(Endpoint("http", "other", 2379), READ, PATIENCE) is None


def test_begin_sends_and_finish_reads():
    wire = Wire(ANSWER, opened=True)
    wire.http._way(ENDPOINT)
    sent = wire.http.begin(ENDPOINT, READ, PATIENCE)
    assert wire.sock.sent.startswith(b"GET /v2/keys/k HTTP/1.1\r\n")
    assert wire.pool.out == 1
    assert sent.finish().body == b'{"a":1}'
    assert (wire.pool.out, wire.pool.kept) == (0, [wire.connection])


def test_ready_reads_what_there_is_and_says_when_it_is_all():
    wire = Wire(HEAD, b"Content-Length: 7\r\n\r\n", b'{"a":1}', opened=True, drip=1.0)
    wire.http._way(ENDPOINT)
    sent = wire.http.begin(ENDPOINT, READ, PATIENCE)
    assert not sent.ready(0)
    assert not sent.ready(2.5)
    assert wire.clock.now == 1002.5
    assert sent.ready(2.5)
    assert wire.clock.now == 1003.0
    assert sent.finish().body == b'{"a":1}'
    assert wire.pool.kept == [wire.connection]


@pytest.mark.parametrize(
    "answer, failure",
    [([HEAD, RESET], Failure.BROKEN), ([HEAD], Failure.BROKEN), ([HEAD, LATE], Failure.TIMEOUT)],
)
def test_ready_is_true_when_there_will_be_no_answer(answer, failure):
    wire = Wire(*answer, opened=True, drip=1.0)
    wire.http._way(ENDPOINT)
    sent = wire.http.begin(ENDPOINT, READ, PATIENCE)
    assert sent.ready(15.0)
    assert wire.clock.now <= 1004.0
    with pytest.raises(AttemptFailed) as caught:
        sent.finish()
    assert caught.value.failure is failure
    assert (wire.pool.out, wire.pool.kept) == (0, [])


def test_begin_on_a_connection_that_breaks_is_none():
    wire = Wire(UNSENDABLE, opened=True)
    wire.http._way(ENDPOINT)
    assert wire.http.begin(ENDPOINT, READ, PATIENCE) is None
    assert (wire.pool.out, wire.pool.kept) == (0, [])


@pytest.mark.parametrize("request_", [READ, WRITE, WATCH], ids=["read", "write", "watch"])
def test_what_can_be_resolved_goes_over_a_connection_that_was_idle(request_):
    wire = Wire(ANSWER, opened=True)
    wire.exchange(request_)
    assert wire.connection.made == 0


def test_what_cannot_be_resolved_goes_over_a_fresh_connection(monkeypatch):
    wire = Wire()
    wire.http._open = lambda endpoint: _lines.PlainLine(endpoint, 9)
    made = []

    def connect(addresses, seconds):
        made.append(FakeSocket(ANSWER, ANSWER, clock=wire.clock))
        return made[-1]

    monkeypatch.setattr(_lines._connecting.Host, "addresses", lambda host, seconds: [])
    monkeypatch.setattr(_lines._connecting, "connect", connect)
    monkeypatch.setattr(_lines, "readable", lambda sock, seconds: False)
    for request in (READ, IN_ORDER, IN_ORDER, READ):
        wire.exchange(request)
    assert [one.sent.count(b" HTTP/1.1\r\n") for one in made] == [1, 1, 2]
    assert [one.closed for one in made] == [True, True, False], "no more of them for it"


@pytest.mark.parametrize("idle", [0, 1], ids=["taken", "given back meanwhile"])
def test_a_fresh_connection_of_the_adapter_is_made(idle):
    wire = Wire(ANSWER, opened=True)
    if idle:
        # Another thread gives it back between the two calls.
        wire.line.take = lambda: None
    wire.exchange(IN_ORDER)
    assert wire.connection.made == 1
    assert wire.pool.kept == [wire.connection]


def test_a_proxy_is_given_the_whole_url_and_its_own_headers():
    wire = Wire(ANSWER)
    wire.line.base = ENDPOINT.url
    wire.line.headers = {"Proxy-Authorization": "Basic xyz"}
    wire.exchange(READ)
    assert wire.sock.sent.startswith(b"GET http://etcd1:2379/v2/keys/k HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic xyz\r\n" in wire.sock.sent


@pytest.mark.parametrize(
    "tls_options, says",
    [
        (
            {"client_cert": "/no/such/cert.pem", "client_key": "/no/such/key.pem"},
            "client_cert /no/such/cert.pem and client_key /no/such/key.pem cannot be used:"
            " no such file or directory",
        ),
        (
            {"ca_cert": "/no/such/ca.pem"},
            "ca_cert /no/such/ca.pem cannot be used: no such file or directory",
        ),
        ({"ca_cert": __file__}, "(it is a PEM file of certificates)"),
    ],
)
def test_a_file_that_cannot_be_used_is_the_callers_mistake(tls_options, says):
    found = _http.Http(tls=Tls(**tls_options))
    with pytest.raises(ClientException) as caught:
        found.exchange(Endpoint("https", "etcd1.invalid", 2379), READ, PATIENCE)
    assert says in str(caught.value)


def test_a_proxy_that_cannot_be_used_fails_before_anything_is_sent(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://")
    monkeypatch.delenv("no_proxy", raising=False)
    found = _http.Http(tls=Tls(), use_proxy=True)
    with pytest.raises(AttemptFailed) as caught:
        found.exchange(Endpoint("http", "etcd1.invalid", 2379), READ, PATIENCE)
    assert caught.value.failure is Failure.UNUSABLE
    assert "proxy" in caught.value.reason.lower()
