# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers are read as `http.client` reads them, or not at all.

What we take and it would refuse, or would read otherwise, is what a server or proxy between could
take for another answer. The inputs are the same in every run; for others, set QUORUM_ETCD_EXAMPLES
to how many to try.
"""

from __future__ import annotations

import http.client
import io
import os
import typing as t

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _messages
from hypothesis import HealthCheck, given, settings, strategies as st

EXAMPLES = int(os.environ.get("QUORUM_ETCD_EXAMPLES", "0"))
some = settings(
    max_examples=EXAMPLES or 400,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Taken(t.NamedTuple):
    """What a reader makes of an answer, and whether it would use the connection again."""

    status: int
    body: bytes
    index: str
    goes_on: bool


class _Source(io.BytesIO):
    """What `http.client` reads from; it closes it, and we still want to know how far it came."""

    def makefile(self, *unused: t.Any) -> "_Source":
        return self

    def close(self) -> None:
        """Not yet."""


def by_http_client(raw: bytes) -> t.Optional[Taken]:
    source = _Source(raw)
    response = http.client.HTTPResponse(source, method="GET")  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError):
        return None
    goes_on = not response.will_close and source.tell() == len(raw)
    # It keeps the spaces at the end of a value, which RFC 9110 leaves out.
    index = (response.headers.get("X-Etcd-Index") or "").rstrip(" \t")
    return Taken(response.status, body, index, goes_on)


def by_us(raw: bytes) -> t.Optional[Taken]:
    reader = _messages.AnswerReader()
    try:
        for piece in [one for one in (raw,) if one] + [b""]:
            if not reader.whole:
                reader.feed(piece)
    except _messages.BadAnswer:
        return None
    assert reader.whole
    index = reader.headers.get("X-Etcd-Index", "")
    return Taken(reader.status, reader.body, index, reader.reusable)


def compare(raw: bytes) -> t.Optional[Taken]:
    ours = by_us(raw)
    if ours is not None:
        theirs = by_http_client(raw)
        assert theirs is not None, "http.client refuses it"
        assert ours[:3] == theirs[:3]
        assert theirs.goes_on or not ours.goes_on
    return ours


#: Lines, right and wrong, from which something like an answer can be made.
LINES = [
    b"Content-Length: 2",
    b"Content-Length: 2",
    b"Content-Length: 3",
    b"content-length:2 ",
    b"Content-Length: +2",
    b"Content-Length: 2, 2",
    b"Content-Length : 2",
    b"Content-Length: \xb2",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Connection: close",
    b"Connection: keep-alive, Close",
    b"Connection: Keep-Alive",
    b"X-Etcd-Index: 7",
    b"X-Etcd-Index: 8",
    b"X-A: \xfc",
    b" folded",
    b"\tfolded",
    b"no header",
    b": nothing",
    b"X-B: a\rX-Etcd-Index: 9",
    b"X-B: a\nX-Etcd-Index: 9",
    b"X-B: \0",
]
ENDS = [b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n"]
STARTS = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No",
    b"HTTP/1.1 304 No",
    b"HTTP/1.1 404 \x01",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.9 200 OK",
    b"HTTP/2 200 OK",
    b"HTTP/1.1 20x OK",
]
BODIES = [
    b"",
    b"{}",
    b"{}{}",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"2;x=y\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
    b"2\r\n{}\r\n0\r\nTrailer\r\n\r\n",
    b"2\r\n{}\r\n0\r\n\r\nHTTP/1.1",
    b"2\n{}\n0\n\n",
    b"2;\n\r\n{}\r\n0\r\n\r\n",
    b"0x2\r\n{}\r\n0\r\n\r\n",
    b"+2\r\n{}\r\n0\r\n\r\n",
    b" 2\r\n{}\r\n0\r\n\r\n",
    b"2 \r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}0\r\n\r\n",
]


@st.composite
def answers(draw: t.Any) -> bytes:
    lines = [draw(st.sampled_from(STARTS))] + draw(st.lists(st.sampled_from(LINES), max_size=4))
    head = b"".join(one + draw(st.sampled_from(ENDS)) for one in lines)
    interim = draw(st.sampled_from([b"", b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return interim + head + draw(st.sampled_from(ENDS)) + draw(st.sampled_from(BODIES))


@some
@given(answers())
def test_what_we_take_http_client_takes_for_the_same(raw: bytes) -> None:
    compare(raw)


@some
@given(st.binary(max_size=6), st.sampled_from(LINES + BODIES + STARTS), st.data())
def test_bytes_in_a_good_answer_are_read_alike_or_refused(
    wild: bytes, line: bytes, data: st.DataObject
) -> None:
    good = b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nContent-Length: 2\r\n\r\n{}"
    chunked = (
        b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\n{}\r\n0\r\n\r\n"
    )
    for raw in (good, chunked):
        cut = data.draw(st.integers(0, len(raw)))
        for piece in (wild, line + b"\r\n", line):
            compare(raw[:cut] + piece + raw[cut:])


@pytest.mark.parametrize("head", [b"", b"X-A: \xfc\r\n", b"Connection: keep-alive\r\n"])
@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 2\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nTrailer: x\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
def test_a_good_answer_is_taken_by_both(head: bytes, framed: bytes) -> None:
    for interim in (b"", b"HTTP/1.1 100 Continue\r\n\r\n"):
        raw = interim + b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\n" + head + framed
        assert compare(raw) == Taken(200, b"{}", "7", True)
