# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every way in which talking to etcd can go wrong, one class for each.

This file is PUBLIC and follows semantic versioning.

::

    ClientException                  a wrong argument; nothing was sent
    EtcdException
     |- with a code (the errorCode of the v2 error body)
     |   |- 1xx  EtcdKeyNotFound 100, EtcdTestFailed 101, EtcdNotFile 102,
     |   |       EtcdNoMorePeer 103, EtcdNotDir 104, EtcdNodeExist 105,
     |   |       EtcdKeyIsPreserved 106, EtcdRootROnly 107, EtcdDirNotEmpty 108,
     |   |       EtcdExistingPeerAddr 109, EtcdUnauthorized 110
     |   |- 2xx  EtcdValueRequired 200, EtcdPrevValueRequired 201, EtcdTTLNaN 202,
     |   |       EtcdIndexNaN 203, EtcdValueOrTTLRequired 204, EtcdTimeoutNaN 205,
     |   |       EtcdNameRequired 206, EtcdIndexOrValueRequired 207,
     |   |       EtcdIndexValueMutex 208, EtcdInvalidField 209, EtcdInvalidForm 210,
     |   |       EtcdRefreshValue 211, EtcdRefreshTTLRequired 212
     |   |- 3xx  EtcdRaftInternal 300, EtcdLeaderElect 301
     |   |- 4xx  EtcdWatcherCleared 400, EtcdEventIndexCleared 401,
     |   |       EtcdStandbyInternal 402, EtcdInvalidActiveSize 403,
     |   |       EtcdInvalidRemoveDelay 404
     |   `- 5xx  EtcdClientInternal 500
     |- EtcdInvalidResponse          the answer is not what etcd speaks
     |   `- EtcdEmptyResponse        the answer has no body where one is due
     |- EtcdV2NotServed              this server does not serve the v2 API
     |- EtcdUnreachable              no endpoint gave an answer (each one's reason is in .errors)
     |   |- EtcdTimeout              the time budget of the operation ran out
     |   `- EtcdTLSFailure           TLS could not be agreed with any endpoint
     |- EtcdDiscoveryFailed          DNS SRV discovery gave no endpoint
     |- EtcdOutcomeUnknown           a write was sent and its answer never came; nothing tells
     |- EtcdWatchTimeout             a watch ended without an event
     |- EtcdConflict                 somebody else's write won, again and again
     |- EtcdServerError              a 5xx answer without an etcd error code
     |   `- EtcdNoLeader             the cluster has no leader
     |- EtcdRefused                  a 4xx answer without an etcd error code
     |   `- EtcdNotLeader            asked a follower for what only the leader knows
     |- EtcdMemberError
     |   |- EtcdMemberExists         a peer URL of it belongs to a member already
     |   |- EtcdMemberNotFound       no member has this id
     |   |- EtcdMemberRemoved        the member with this id was removed before
     |   `- EtcdReconfigurationRefused  the server refused the change and does not say why
     `- EtcdAuthError
         |- EtcdAuthConflict         the state asked for, or its opposite, holds already
         `- EtcdAuthNotFound         no such user or role

The numbers are those of the v2 error body, not HTTP statuses: code 401 comes with
HTTP status 400, and HTTP status 401 with code 110. The classes with a code bear the names
that the pyetcd documentation gives them.
"""

from __future__ import annotations

import typing as t


class ClientException(ValueError):
    """A wrong argument: the message says what is wrong and what to write instead."""


class EtcdException(Exception):
    """Base of all that an etcd cluster, or the way to it, can answer with.

    Attributes:
        code: the errorCode of the v2 error body, or None.
        message: what happened, in a sentence.
        cause: what the server says it is about (for code 100 the first missing path component).
        index: the store's index that the error body or header gave, or None. Errors raised
            before the store was asked carry 0.
        http_status: status of the HTTP answer, or None if there was none.
        endpoint: URL of the endpoint that answered, or None.
        errors: a tuple of (endpoint URL, reason) where several endpoints were tried in vain.
    """

    code: t.Optional[int] = None

    def __init__(
        self,
        message: str,
        *,
        code: t.Optional[int] = None,
        cause: t.Optional[str] = None,
        index: t.Optional[int] = None,
        http_status: t.Optional[int] = None,
        endpoint: t.Optional[str] = None,
        errors: t.Sequence[t.Tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.cause = cause
        self.index = index
        self.http_status = http_status
        self.endpoint = endpoint
        self.errors = tuple(errors)

    def __str__(self) -> str:
        text = self.message
        if self.cause:
            text += ": " + self.cause
        about = []
        if self.code is not None:
            about.append("etcd error %d" % self.code)
        elif self.http_status is not None:
            about.append("HTTP %d" % self.http_status)
        if self.endpoint is not None:
            about.append("from " + self.endpoint)
        if about:
            text += " (%s)" % ", ".join(about)
        others = ["%s: %s" % one for one in self.errors if one[0] != self.endpoint]
        return "; ".join([text] + others)


class EtcdKeyNotFound(EtcdException):
    """The key, or a directory on the way to it, does not exist."""

    code = 100


class EtcdTestFailed(EtcdException):
    """A compare-and-swap or compare-and-delete found another value or index."""

    code = 101


class EtcdNotFile(EtcdException):
    """The operation is for a key with a value, and this is a directory."""

    code = 102


class EtcdNoMorePeer(EtcdException):
    """The cluster has as many members as it may have (older servers)."""

    code = 103


class EtcdNotDir(EtcdException):
    """A key with a value stands where a directory is needed."""

    code = 104


class EtcdNodeExist(EtcdException):
    """The key exists, and was to be created."""

    code = 105


class EtcdKeyIsPreserved(EtcdException):
    """The name is reserved by the server (older servers)."""

    code = 106


class EtcdRootROnly(EtcdException):
    """The root directory can be read only."""

    code = 107


class EtcdDirNotEmpty(EtcdException):
    """The directory has children; hidden ones count."""

    code = 108


class EtcdExistingPeerAddr(EtcdException):
    """The peer address belongs to a member already (older servers)."""

    code = 109


class EtcdUnauthorized(EtcdException):
    """Credentials are missing, wrong, or without the right to do this; also hides missing keys."""

    code = 110


class EtcdValueRequired(EtcdException):
    """A value is needed (older servers)."""

    code = 200


class EtcdPrevValueRequired(EtcdException):
    """prevValue was given and is empty; compare by index instead."""

    code = 201


class EtcdTTLNaN(EtcdException):
    """The time to live is not a number that the server takes."""

    code = 202


class EtcdIndexNaN(EtcdException):
    """The index is not a number that the server takes."""

    code = 203


class EtcdValueOrTTLRequired(EtcdException):
    """Neither a value nor a time to live was given (older servers)."""

    code = 204


class EtcdTimeoutNaN(EtcdException):
    """The timeout is not a number (older servers)."""

    code = 205


class EtcdNameRequired(EtcdException):
    """A name is needed (older servers)."""

    code = 206


class EtcdIndexOrValueRequired(EtcdException):
    """An index or a value is needed (older servers)."""

    code = 207


class EtcdIndexValueMutex(EtcdException):
    """An index and a value exclude each other (older servers)."""

    code = 208


class EtcdInvalidField(EtcdException):
    """A field of the request has a value that the server does not take."""

    code = 209


class EtcdInvalidForm(EtcdException):
    """The form could not be read by the server, or exceeds its 10 MiB."""

    code = 210


class EtcdRefreshValue(EtcdException):
    """A refresh came with a value."""

    code = 211


class EtcdRefreshTTLRequired(EtcdException):
    """A refresh came without a time to live."""

    code = 212


class EtcdRaftInternal(EtcdException):
    """The cluster could not carry the operation through (no quorum, or an internal fault)."""

    code = 300


class EtcdLeaderElect(EtcdException):
    """The cluster is electing a leader (older servers)."""

    code = 301


class EtcdWatcherCleared(EtcdException):
    """The watch was dropped because the server recovered from a snapshot."""

    code = 400


class EtcdEventIndexCleared(EtcdException):
    """The index asked for is older than the 1000 events that the server remembers."""

    code = 401


class EtcdStandbyInternal(EtcdException):
    """A standby failed (older servers)."""

    code = 402


class EtcdInvalidActiveSize(EtcdException):
    """The active size is not valid (older servers)."""

    code = 403


class EtcdInvalidRemoveDelay(EtcdException):
    """The remove delay is not valid (older servers)."""

    code = 404


class EtcdClientInternal(EtcdException):
    """The client of an older server failed."""

    code = 500


class EtcdInvalidResponse(EtcdException):
    """The answer is not what etcd speaks: another service, a proxy, or a broken connection."""


class EtcdEmptyResponse(EtcdInvalidResponse):
    """The answer has no body where one is due."""


class EtcdV2NotServed(EtcdException):
    """This server does not serve the v2 API: start it with --enable-v2 (etcd 3.6 dropped it)."""


class EtcdUnreachable(EtcdException):
    """No endpoint gave an answer; `errors`, and the text, give each one's reason."""


class EtcdTimeout(EtcdUnreachable):
    """The time budget of the operation ran out before an endpoint answered."""


class EtcdTLSFailure(EtcdUnreachable):
    """TLS could not be agreed with any endpoint: certificates, names or protocols do not fit."""


class EtcdDiscoveryFailed(EtcdException):
    """DNS SRV discovery gave no endpoint; the message names every record asked for."""


class EtcdOutcomeUnknown(EtcdException):
    """A write was sent and its answer never came: it may or may not have been carried out.

    Attributes:
        index: of a task, the store's index at which a write was found that is equal to this one,
            and may be another client's; None if none was found.
    """


class EtcdWatchTimeout(EtcdException):
    """A watch ended without an event.

    Attributes:
        index: the store's index when the watch began, if the server told it: a new watch that
            starts at index + 1 misses nothing.
    """


class EtcdConflict(EtcdException):
    """Other writers changed the key each time between our read and our write."""


class EtcdServerError(EtcdException):
    """A 5xx answer without an etcd error code."""


class EtcdNoLeader(EtcdServerError):
    """The cluster has no leader at this moment."""


class EtcdRefused(EtcdException):
    """A 4xx answer without an etcd error code."""


class EtcdNotLeader(EtcdRefused):
    """Leader statistics were asked of a member that does not lead."""


class EtcdMemberError(EtcdException):
    """Base of what the members API refuses."""


class EtcdMemberExists(EtcdMemberError):
    """A peer URL belongs to a member of the cluster already."""


class EtcdMemberNotFound(EtcdMemberError):
    """The cluster has no member with this id."""


class EtcdMemberRemoved(EtcdMemberError):
    """The member with this id was removed from the cluster before; its id is never used again."""


class EtcdReconfigurationRefused(EtcdMemberError):
    """The server answered 500 to a membership change: refused, or lost on the way.

    The reason stands in the server's log only. Read the member list to learn which.
    """


class EtcdAuthError(EtcdException):
    """Base of what the v2 auth API refuses."""


class EtcdAuthConflict(EtcdAuthError):
    """The user, role, permission or auth state is already what was asked for, or its opposite."""


class EtcdAuthNotFound(EtcdAuthError):
    """There is no such user or role."""


def _with_codes() -> t.Dict[int, t.Type[EtcdException]]:
    return {cls.code: cls for cls in EtcdException.__subclasses__() if cls.code is not None}


#: errorCode of the v2 error body -> class.
BY_CODE = _with_codes()
