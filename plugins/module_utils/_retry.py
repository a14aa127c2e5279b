# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one answer to "may this be sent again?".

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import enum
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._types import (
    AttemptFailed,
    Failure,
    Kind,
)


class Verdict(enum.Enum):
    """What follows from a failed attempt."""

    NEXT = "ask the next endpoint"
    UNKNOWN = "a write may or may not have been carried out: say so"
    FINAL = "this is the answer"


class Again(enum.Enum):
    """Whether an endpoint is asked again once every endpoint has failed."""

    NEVER = "it would not help"
    ALONG = "not for its own sake, but along with others"
    ONCE = "once: the servers took their time before they gave up"
    ALWAYS = "until the budget of the operation is over"


#: Failures after which a write has certainly not been carried out, and another server may do it.
_NOT_CARRIED_OUT = (Failure.NOT_SENT, Failure.UNUSABLE, Failure.TLS, Failure.NOT_SERVED)

#: Failures after which the same endpoint may well answer a moment later.
PASSING = (Failure.BROKEN, Failure.SERVER_ERROR)


def failure_of(exc: Exception) -> Failure:
    """Where the attempt that raised this ended."""
    if isinstance(exc, AttemptFailed):
        return exc.failure
    if isinstance(exc, errors.EtcdInvalidResponse):
        redirected = 300 <= (exc.http_status or 0) < 400
        return Failure.REFUSED if redirected else Failure.GARBLED
    if isinstance(exc, errors.EtcdV2NotServed):
        return Failure.NOT_SERVED
    if isinstance(exc, errors.EtcdRaftInternal) and is_store_error(exc):
        return Failure.REFUSED
    if isinstance(exc, (errors.EtcdServerError, errors.EtcdRaftInternal, errors.EtcdLeaderElect)):
        return Failure.SERVER_ERROR
    return Failure.REFUSED


def may_pass(exc: errors.EtcdException) -> bool:
    """Whether an operation that ended so may well succeed later, with the same endpoints."""
    if isinstance(exc, errors.EtcdUnreachable):
        return not isinstance(exc, errors.EtcdTLSFailure)
    return failure_of(exc) in PASSING


def still_unknown(
    unknown: errors.EtcdOutcomeUnknown, why: str, index: t.Optional[int] = None
) -> errors.EtcdOutcomeUnknown:
    """The error for a write whose outcome the cluster could not tell afterwards either.

    Args:
        index: of the store, at which an equal write was found.
    """
    return errors.EtcdOutcomeUnknown(
        "%s; %s" % (unknown.message, why),
        index=index,
        http_status=unknown.http_status,
        endpoint=unknown.endpoint,
    )


def is_store_error(exc: errors.EtcdRaftInternal) -> bool:
    """Whether the store itself refused, on every member alike, and said so as a raft error.

    Observed on 3.5.1 for the TTL of an existing directory: 500, code 300, cause
    "nodePath /1/d : Not a file ()". A write that timed out has "etcdserver: ..." there.
    """
    return (exc.cause or "").startswith("nodePath ")


def again(kind: Kind, failure: Failure, exc: Exception, *, patient: bool) -> Again:
    """Whether an endpoint that failed so is asked again, once every endpoint has failed.

    Args:
        patient: whether an endpoint that cannot be reached is waited for.
    """
    if failure is Failure.NOT_SENT:
        return Again.ALWAYS if patient else Again.ALONG
    if kind is Kind.WRITE:
        return Again.NEVER
    if failure in PASSING:
        # A member without a quorum says so after 7 seconds; a proxy without a server, at once.
        slow = isinstance(exc, (errors.EtcdRaftInternal, errors.EtcdLeaderElect))
        return Again.ALWAYS if patient and not slow else Again.ONCE
    return Again.ALONG if failure is Failure.TIMEOUT else Again.NEVER


def verdict(kind: Kind, failure: Failure) -> Verdict:
    """Whether a request of this kind may be sent to another endpoint after this failure."""
    if failure is Failure.REFUSED:
        return Verdict.FINAL
    if kind is Kind.WRITE and failure not in _NOT_CARRIED_OUT:
        return Verdict.UNKNOWN
    return Verdict.NEXT
