# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._retry import (
    PASSING,
    Verdict,
    failure_of,
    may_pass,
    still_unknown,
    verdict,
)
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    AttemptFailed,
    Failure,
    Kind,
)

NEXT, UNKNOWN, FINAL = Verdict.NEXT, Verdict.UNKNOWN, Verdict.FINAL

TRUTH = [
    (Kind.READ, Failure.NOT_SENT, NEXT),
    (Kind.READ, Failure.UNUSABLE, NEXT),
    (Kind.READ, Failure.TLS, NEXT),
    (Kind.READ, Failure.TIMEOUT, NEXT),
    (Kind.READ, Failure.BROKEN, NEXT),
    (Kind.READ, Failure.GARBLED, NEXT),
    (Kind.READ, Failure.NOT_SERVED, NEXT),
    (Kind.READ, Failure.SERVER_ERROR, NEXT),
    (Kind.READ, Failure.REFUSED, FINAL),
    (Kind.WAIT, Failure.NOT_SENT, NEXT),
    (Kind.WAIT, Failure.UNUSABLE, NEXT),
    (Kind.WAIT, Failure.TLS, NEXT),
    (Kind.WAIT, Failure.TIMEOUT, NEXT),
    (Kind.WAIT, Failure.BROKEN, NEXT),
    (Kind.WAIT, Failure.GARBLED, NEXT),
    (Kind.WAIT, Failure.NOT_SERVED, NEXT),
    (Kind.WAIT, Failure.SERVER_ERROR, NEXT),
    (Kind.WAIT, Failure.REFUSED, FINAL),
    (Kind.WRITE, Failure.NOT_SENT, NEXT),
    (Kind.WRITE, Failure.UNUSABLE, NEXT),
    (Kind.WRITE, Failure.TLS, NEXT),
    (Kind.WRITE, Failure.TIMEOUT, UNKNOWN),
    (Kind.WRITE, Failure.BROKEN, UNKNOWN),
    (Kind.WRITE, Failure.GARBLED, UNKNOWN),
    (Kind.WRITE, Failure.NOT_SERVED, NEXT),
    (Kind.WRITE, Failure.SERVER_ERROR, UNKNOWN),
    (Kind.WRITE, Failure.REFUSED, FINAL),
]


@pytest.mark.parametrize("kind, failure, expected", TRUTH)
def test_verdict(kind, failure, expected):
    assert verdict(kind, failure) is expected


def test_the_truth_table_is_whole():
    assert {(kind, failure) for kind, failure, unused in TRUTH} == {
        (kind, failure) for kind in Kind for failure in Failure
    }


#: What each class of errors.py says of the attempt; every other class is the server's final word.
NOT_FINAL = {
    errors.EtcdInvalidResponse: Failure.GARBLED,
    errors.EtcdEmptyResponse: Failure.GARBLED,
    errors.EtcdV2NotServed: Failure.NOT_SERVED,
    errors.EtcdServerError: Failure.SERVER_ERROR,
    errors.EtcdNoLeader: Failure.SERVER_ERROR,
    errors.EtcdRaftInternal: Failure.SERVER_ERROR,
    errors.EtcdLeaderElect: Failure.SERVER_ERROR,
}

CLASSES = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, errors.EtcdException)
]


def test_failure_of_every_class():
    assert {found: failure_of(found("no")) for found in CLASSES} == {
        found: NOT_FINAL.get(found, Failure.REFUSED) for found in CLASSES
    }


@pytest.mark.parametrize("failure", list(Failure))
def test_failure_of_an_attempt_without_an_answer(failure):
    assert failure_of(AttemptFailed(failure, "why")) is failure


@pytest.mark.parametrize(
    "cause, expected",
    [
        ("nodePath /1/d : Not a file ()", Failure.REFUSED),
        ("etcdserver: request timed out", Failure.SERVER_ERROR),
        (
            "etcdserver: request timed out, possibly due to previous leader failure",
            Failure.SERVER_ERROR,
        ),
        ("a nodePath elsewhere", Failure.SERVER_ERROR),
        ("", Failure.SERVER_ERROR),
        (None, Failure.SERVER_ERROR),
    ],
)
def test_failure_of_a_raft_error_depends_on_its_cause(cause, expected):
    assert failure_of(errors.EtcdRaftInternal("Raft Internal Error", cause=cause)) is expected


@pytest.mark.parametrize(
    "status, expected",
    [
        (200, Failure.GARBLED),
        (300, Failure.REFUSED),
        (301, Failure.REFUSED),
        (307, Failure.REFUSED),
        (399, Failure.REFUSED),
        (400, Failure.GARBLED),
        (404, Failure.GARBLED),
        (None, Failure.GARBLED),
    ],
)
def test_failure_of_an_answer_that_is_not_etcds(status, expected):
    assert failure_of(errors.EtcdInvalidResponse("what?", http_status=status)) is expected


def test_what_passes_by_itself():
    assert set(PASSING) == {Failure.BROKEN, Failure.SERVER_ERROR}


def test_only_a_raft_error_is_one_of_the_store():
    cause = "nodePath /1/d : Not a file ()"
    assert failure_of(errors.EtcdServerError("HTTP 500", cause=cause)) is Failure.SERVER_ERROR


#: What may be otherwise a moment later, with the same endpoints.
MAY_PASS = {
    errors.EtcdUnreachable,
    errors.EtcdTimeout,
    errors.EtcdServerError,
    errors.EtcdNoLeader,
    errors.EtcdRaftInternal,
    errors.EtcdLeaderElect,
}


def test_which_errors_may_pass():
    assert {found for found in CLASSES if may_pass(found("no"))} == MAY_PASS


@pytest.mark.parametrize("index", [None, 7])
def test_an_outcome_that_stays_unknown(index):
    first = errors.EtcdOutcomeUnknown("sent", http_status=500, endpoint="http://e")
    exc = still_unknown(first, "nobody tells", index)
    assert exc.message == "sent; nobody tells"
    assert (exc.http_status, exc.endpoint, exc.index) == (500, "http://e", index)
