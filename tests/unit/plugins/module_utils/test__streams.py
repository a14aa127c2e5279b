# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.client

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils._streams import parse

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Etcd-Index: 7\r\n"
PLAIN = HEAD + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"


@pytest.mark.parametrize("answer, body", [(PLAIN, b"hello"), (CHUNKED, b"hello world")])
def test_an_answer_is_read_when_it_is_whole(answer, body):
    for length in range(len(answer)):
        assert parse(answer[:length]) is None
    for more in (b"", b"HTTP/1.1 "):
        reply, length = parse(answer + more)
        assert (reply.status, reply.body, length) == (200, body, len(answer))
        assert reply.headers.get("X-ETCD-Index") == "7"
        assert reply.headers.get("Nothing") is None


def test_an_answer_without_a_body():
    reply, length = parse(b"HTTP/1.1 204 No Content\r\n\r\nHTTP")
    assert (reply.status, reply.body, length) == (204, b"", 27)


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x01\x00\x02\x02\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
        HEAD + b"\r\nhello",
        HEAD + b"Content-Length: -5\r\n\r\nhello",
        HEAD + b"Content-Length: 5, 6\r\n\r\nhello",
        HEAD + b"Content-Length: \xb2\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        b"x" * (1 << 16),
    ],
)
def test_what_etcd_does_not_say(answer):
    with pytest.raises(http.client.HTTPException):
        parse(answer)
