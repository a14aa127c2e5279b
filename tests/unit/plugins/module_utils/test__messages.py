# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _messages
from ansible_collections.quorum.etcd.plugins.module_utils._messages import AnswerReader, BadAnswer
from ansible_collections.quorum.etcd.plugins.module_utils._types import Api, Kind, Request
from ansible_collections.quorum.etcd.plugins.module_utils._wire import read_key, write_key
from ansible_collections.quorum.etcd.plugins.module_utils.errors import ClientException

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Etcd-Index: 7\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE = [
    (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    (HEAD + b"content-length:5\r\nCONTENT-LENGTH: 5\r\n\r\nhello", b"hello"),
    (HEAD + b"Content-Length: 0\r\n\r\n", b""),
    (CHUNKED + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", b"hello world"),
    (CHUNKED + b"0000a\r\n0123456789\r\n000\r\nTrailer: x\r\n\r\n", b"0123456789"),
    (b"HTTP/1.1 204 No Content\r\nX-Etcd-Index: 7\r\n\r\n", b""),
    (b"HTTP/1.1 200\r\nX-Etcd-Index: 7\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
    (b"HTTP/1.1 103 Hint\r\nLink: x\r\n\r\n" * 16 + HEAD + b"Content-Length: 2\r\n\r\n{}", b"{}"),
    (HEAD + b"Connection: closed, keep-alive\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}", b"{}"),
]


def read(*pieces):
    reader = AnswerReader()
    for piece in pieces:
        assert not reader.whole
        reader.feed(piece)
    return reader


@pytest.mark.parametrize("answer, body", WHOLE)
def test_an_answer_is_whole_with_its_last_byte(answer, body):
    one_by_one = [answer[n : n + 1] for n in range(len(answer))]
    for pieces in ([answer], one_by_one, [answer[:20], answer[20:]]):
        reader = read(*pieces)
        assert reader.whole and reader.reusable
        assert reader.body == body
        assert reader.headers.get("X-ETCD-Index") == "7"


@pytest.mark.parametrize("answer, body", WHOLE)
def test_an_answer_that_ends_too_soon_is_none(answer, body):
    for length in range(len(answer)):
        with pytest.raises(BadAnswer, match="broke off|without an answer"):
            read(*[part for part in (answer[:length],) if part] + [b""])


@pytest.mark.parametrize("answer, body", WHOLE)
def test_what_comes_unasked_makes_the_connection_useless(answer, body):
    reader = read(answer + b"HTTP/1.1 ")
    assert (reader.whole, reader.reusable, reader.body) == (True, False, body)


@pytest.mark.parametrize(
    "answer, body",
    [
        (HEAD + b"\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\n", b""),
        (HEAD + b"Connection: close\r\n\r\n" + b"x" * 70000, b"x" * 70000),
    ],
)
def test_an_answer_of_no_length_ends_with_the_connection(answer, body):
    reader = read(answer[:-1], answer[-1:])
    assert not reader.whole
    reader.feed(b"")
    assert (reader.whole, reader.reusable, reader.body) == (True, False, body)


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Connection: Close\r\n",
        HEAD + b"Connection: keep-alive, close\r\n",
        HEAD + b"Connection: X-Etcd-Index,Close ,x\r\n",
        HEAD + b"Connection: X-Etcd-Index\r\nConnection: close\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n",
    ],
)
def test_a_connection_that_the_server_ends_is_useless(head):
    reader = read(head + b"Content-Length: 2\r\n\r\n{}")
    assert (reader.whole, reader.reusable) == (True, False)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x01\x00\x02\x02\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 099 No\r\n\r\n",
        b"HTTP/1.1 " + b"2" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\nhello",
        HEAD + b"Content-Length: 5, 6\r\n\r\nhello",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        HEAD + b"Content-Length: \xb2\r\n\r\nhello",
        HEAD + b"Content-Length: 134217729\r\n\r\n",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"xyz\r\nhello\r\n",
        CHUNKED + b"-5\r\nhello\r\n",
        CHUNKED + b"0x5\r\nhello\r\n",
        CHUNKED + b"1_0\r\nhello\r\n",
        CHUNKED + b"\r\nhello\r\n",
        CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"8000001\r\n",
        CHUNKED + b"5\r\nhello\r\n7FFFFFF\r\n",
        CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5\nhello\r\n0\r\n\r\n",
        CHUNKED + b"0\r\nno header\r\n\r\n",
        CHUNKED + b"0\r\nX: a\nb\r\n\r\n",
        CHUNKED + b"0\r\n" + b"X: y\r\n" * 101,
        CHUNKED + b"0\r\n" + b"X: %s\r\n" % (b"y" * 1000) * 80,
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\nX-Etcd-Index: 7\n\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"X-A: b\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"X-A: b\rContent-Length: 2\r\n\r\n{}",
        HEAD + b"X-A: b\0\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length : 2\r\n\r\n{}",
        HEAD + b"no header\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b": nothing\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 \x07\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.11 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 103 Hint\r\n\r\n" * 17,
        (b"HTTP/1.1 103 Hint\r\nX: %s\r\n\r\n" % (b"y" * 30_000)) * 3,
        CHUNKED + b"5" * (1 << 17),
        b"x" * (1 << 17),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * (1 << 15),
    ],
)
def test_what_a_server_of_http_does_not_say(answer):
    with pytest.raises(BadAnswer):
        read(answer)


def test_an_answer_without_a_length_is_held_to_the_limit_too(monkeypatch):
    monkeypatch.setattr(_messages, "MAX_BODY", 10)
    with pytest.raises(BadAnswer, match="larger than 10 bytes"):
        read(HEAD + b"\r\n", b"12345", b"67890", b"1")


def test_a_header_is_found_whatever_its_case_and_only_where_a_line_starts():
    headers = _messages.Headers("\r\nX-A:  one \r\nx-b: X-C: no\r\nX-a: two")
    assert headers.get("x-a") == "one"
    assert headers.get_all("X-A") == ["one", "two"]
    assert headers.get("X-C") is None
    assert headers.get("X-C", "") == ""


@pytest.mark.parametrize(
    "request_, lines",
    [
        (read_key("v2", "/k", {}), b"GET /v2/keys/k HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            write_key("v2", "/k", {"value": "v"}),
            b"PUT /v2/keys/k HTTP/1.1\r\nHost: a\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\nvalue=v",
        ),
        (
            write_key("v2", "/k", {}, method="POST"),
            b"POST /v2/keys/k HTTP/1.1\r\nHost: a\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n",
        ),
    ],
)
def test_a_request_is_written_whole(request_, lines):
    assert _messages.request_bytes("", "Host: a\r\n", request_) == lines


@pytest.mark.parametrize(
    "target", ["/v2/a b", "/v2\r\nX: y", "/v2\0", "/v2/\xfc", "", "/v2\x7f", "/\n"]
)
def test_a_target_that_is_more_than_one_is_not_sent(target):
    request = Request(Kind.READ, Api.KEYS, "GET", target)
    with pytest.raises(ClientException, match="cannot be sent"):
        _messages.request_bytes("", "Host: a\r\n", request)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "a\rb", "\0"])
def test_a_header_that_is_more_than_one_is_not_sent(value):
    with pytest.raises(ClientException, match="Host, X-A cannot be sent") as caught:
        _messages.head_lines({"Host": "b", "X-A": value})
    assert value not in str(caught.value), "it may be a password"
    with pytest.raises(ClientException, match="cannot be sent"):
        _messages.head_lines({value: "b"})


def test_headers_are_lines():
    assert _messages.head_lines({"Host": "a:1", "X-A": ""}) == "Host: a:1\r\nX-A: \r\n"


@pytest.mark.parametrize(
    "begin, says",
    [
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
        (b"HTTQ", "the answer is not HTTP"),
        (b"\x15\x03\x03\0\2", "write https://"),
        (b"\0\0\6\4\0\0\0\0\0", "--listen-client-http-urls"),
        (b"\0\0\0\4\0\0\0\0\0", "gRPC only"),
        (b"\0\0\6\1\0\0\0\0\0", "the answer is not HTTP"),
        (b"\0\0\6\4\0\0\0\0\1", "the answer is not HTTP"),
    ],
)
def test_another_protocol_is_known_by_its_first_bytes(begin, says):
    for pieces in ([begin], [begin[n : n + 1] for n in range(len(begin))]):
        reader = AnswerReader()
        with pytest.raises(BadAnswer, match=says):
            for piece in pieces:
                reader.feed(piece)


def test_bytes_of_another_protocol_are_waited_for_while_they_may_be_one():
    reader = AnswerReader()
    for piece in (b"\0\0\6", b"\4\0\0"):
        reader.feed(piece)
    with pytest.raises(BadAnswer, match="broke off"):
        reader.feed(b"")
