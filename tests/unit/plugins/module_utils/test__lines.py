# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import socket

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import _connecting, _lines
from ansible_collections.quorum.etcd.plugins.module_utils._messages import BadAnswer
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    AttemptFailed,
    Endpoint,
    Failure,
)

REFUSED = OSError(errno.ECONNREFUSED, "Connection refused")


@pytest.mark.parametrize(
    "exc, failure, reason",
    [
        (REFUSED, Failure.NOT_SENT, "connection refused"),
        (socket.timeout("timed out"), Failure.NOT_SENT, "no connection in time"),
        (
            _connecting.NameTimeout("the name was not resolved in time"),
            Failure.NOT_SENT,
            "the name was not resolved in time",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            Failure.NOT_SENT,
            "temporary failure",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            Failure.UNUSABLE,
            "name or service not known",
        ),
    ],
)
def test_what_keeps_from_connecting_was_not_sent(monkeypatch, exc, failure, reason):
    def fail(*unused):
        raise exc

    monkeypatch.setattr(_lines._connecting.Host, "addresses", fail)
    with pytest.raises(AttemptFailed, match=reason) as caught:
        _lines.PlainLine(Endpoint("http", "etcd1", 2379), 1).make(2.0)
    assert caught.value.failure is failure


def test_a_name_that_dns_cannot_hold_is_no_traceback():
    with pytest.raises(AttemptFailed) as caught:
        _lines.PlainLine(Endpoint("http", "a" * 70 + ".example", 2379), 1).make(2.0)
    assert caught.value.failure is Failure.UNUSABLE
    assert "too long" in caught.value.reason


@pytest.mark.parametrize(
    "exc, failure, reason",
    [
        (socket.timeout("timed out"), Failure.TIMEOUT, "no answer in time"),
        (OSError(errno.ECONNRESET, "Connection reset by peer"), Failure.BROKEN, "connection reset"),
        (BadAnswer("the answer broke off"), Failure.BROKEN, "the answer broke off"),
        (OSError(), Failure.BROKEN, "OSError"),
    ],
)
def test_what_fails_afterwards_may_have_been_carried_out(exc, failure, reason):
    found = _lines.no_answer(exc, 41)
    assert (found.failure, found.index) == (failure, 41)
    assert reason in found.reason and "Errno" not in found.reason
