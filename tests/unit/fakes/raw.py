# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients whose server answers with bytes that are given, whatever they are."""

from __future__ import annotations

import json

from ansible_collections.quorum.etcd.plugins.module_utils._messages import AnswerReader
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    Answer,
    AttemptFailed,
    Failure,
)
from ansible_collections.quorum.etcd.plugins.module_utils.client import Client

from .network import FakeClock

#: Requests after which a client that is answered the same each time is said to go round in circles.
MANY = 500


def message(status, body, index=b"9"):
    """An answer as bytes; a body that is no bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode("ascii")
    head = b"HTTP/1.1 %d X\r\nX-Etcd-Index: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (status, index, len(raw)) + raw


class RawHttp:
    """Takes the place of `_http.Http`: every request gets these bytes in a while, and the end."""

    def __init__(self, answer, clock):
        self._answer = answer
        self._clock = clock
        self.sent = []

    def exchange(self, endpoint, request, patience):
        self.sent.append(request)
        assert len(self.sent) < MANY, "the client goes round in circles"
        self._clock.sleep(0.05)
        reader = AnswerReader()
        try:
            for piece in (self._answer, b"", b""):
                if not reader.whole:
                    reader.feed(piece)
        except OSError as exc:
            raise AttemptFailed(Failure.BROKEN, str(exc)) from exc
        return Answer(reader.status, reader.headers, reader.body, endpoint)

    def begin(self, endpoint, request, patience):
        return None

    def exchange_all(self, endpoint, requests, patience, connections):
        for mark, request in requests:
            try:
                yield mark, self.exchange(endpoint, request, patience)
            except AttemptFailed as exc:
                yield mark, exc
                return


def client_of(answer):
    """A client whose server answers everything so, in virtual time; and that time."""
    clock = FakeClock()
    http = RawHttp(answer, clock)
    return Client("a", http=http, clock=clock, sleep=clock.sleep), clock
