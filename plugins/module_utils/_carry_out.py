# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One planned write: carrying it out once.

PRIVATE to the collection: it can change at any time.

A write carries the condition that it was planned on, so that of several copies of it one at most is
carried out. `_in_doubt` finds out what became of one whose answer was lost.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _in_doubt, _retry, errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import ActionKind, KeyAction
from ansible_collections.quorum.etcd.plugins.module_utils._in_doubt import (
    LostRace,
    Outcome,
    written,
)
from ansible_collections.quorum.etcd.plugins.module_utils._results import EtcdResult

#: How many times a write is sent until its outcome is called unknown, and how many times a task
#: reads and plans again after it has lost a race.
ATTEMPTS = 10


class KeyClient(_in_doubt.AsksAgain, t.Protocol):
    """What this file needs of `client.Client`."""

    def write(
        self,
        key: str,
        value: str,
        ttl: t.Optional[int] = None,
        *,
        fresh_connection: bool = False,
    ) -> EtcdResult:
        """As `Client` does."""

    def delete(self, key: str, *, fresh_connection: bool = False) -> EtcdResult:
        """As `Client` does."""

    def compare_and_swap(
        self,
        key: str,
        value: str,
        prev_value: t.Optional[str] = None,
        prev_index: t.Optional[int] = None,
        prev_exist: t.Optional[bool] = None,
        ttl: t.Optional[int] = None,
    ) -> EtcdResult:
        """As `Client` does."""

    def compare_and_delete(
        self, key: str, prev_value: t.Optional[str] = None, prev_index: t.Optional[int] = None
    ) -> EtcdResult:
        """As `Client` does."""

    def create_in_order(
        self, directory: str, value: str, ttl: t.Optional[int] = None
    ) -> EtcdResult:
        """As `Client` does."""

    def update_ttl(self, key: str, ttl: int, prev_index: t.Optional[int] = None) -> EtcdResult:
        """As `Client` does."""

    def mkdir(self, directory: str, ttl: t.Optional[int] = None) -> EtcdResult:
        """As `Client` does."""

    def rmdir(self, directory: str, recursive: bool = False) -> EtcdResult:
        """As `Client` does."""

    def update_dir_ttl(self, directory: str, ttl: t.Optional[int]) -> EtcdResult:
        """As `Client` does."""


#: What the server answers to a write whose condition no longer holds.
RACE = (
    errors.EtcdTestFailed,
    errors.EtcdNodeExist,
    errors.EtcdKeyNotFound,
    errors.EtcdNotFile,
    errors.EtcdNotDir,
)

#: What the server takes no condition for.
_NEVER_GUARDED = (ActionKind.ENQUEUE, ActionKind.SET_DIR_TTL, ActionKind.REMOVE_DIR)

#: What can be sent with or without a condition.
_GUARDED_ON_REQUEST = (ActionKind.CREATE, ActionKind.SWAP, ActionKind.DELETE)


def carry_out(
    client: KeyClient,
    planned: Outcome,
    unknown: t.Optional[errors.EtcdOutcomeUnknown] = None,
    deadline: t.Optional[float] = None,
) -> Outcome:
    """Write once, or as often as it takes to know that it was written once.

    A copy that is sent again carries the condition of the first, so of the two, one at most is
    carried out; a write without a condition is sent once.

    Args:
        unknown: how the first copy ended, if it has been sent already.
        deadline: of the client's clock, until which a write that is not sent again is looked for;
            None for `total_timeout` from now on.

    Raises:
        LostRace, errors.EtcdException: it was not carried out.
        errors.EtcdOutcomeUnknown: the cluster cannot tell whether it was; `index` is that of an
            equal write that was found, if one was.
    """
    if unknown is None:
        try:
            return _sent(client, planned)
        except errors.EtcdOutcomeUnknown as exc:
            unknown = exc
    if not _has_condition(planned.action):
        return _in_doubt.look_for(client, planned, unknown, deadline)
    for unused in range(ATTEMPTS - 1):
        settled = _in_doubt.settle(client, planned, unknown)
        if settled is not None:
            return settled
        try:
            return _sent(client, planned)
        except LostRace:
            # The write that came first may be an earlier copy of ours.
            settled = _in_doubt.settle(client, planned, unknown)
            if settled is None:
                raise
            return settled
        except errors.EtcdOutcomeUnknown as exc:
            unknown = exc
        except errors.EtcdException as exc:
            # An earlier copy may still be on its way.
            raise _retry.still_unknown(unknown, "sending it again failed: %s" % exc) from exc
    settled = _in_doubt.settle(client, planned, unknown)
    if settled is None:
        raise unknown
    return settled


def _has_condition(action: KeyAction) -> bool:
    """Whether the write is carried out once at most, however many copies of it arrive."""
    if action.kind in _GUARDED_ON_REQUEST:
        return action.guarded
    return action.kind not in _NEVER_GUARDED


def _sent(client: KeyClient, planned: Outcome) -> Outcome:
    try:
        result = checked(planned.action, write(client, planned.action))
    except RACE as exc:
        raise LostRace() from exc
    return written(planned, result, result.x_etcd_index)


def write(client: KeyClient, action: KeyAction) -> EtcdResult:
    """Send the action as one request, under the condition that it was planned on."""
    key, value = action.sent_as, action.value or ""
    if action.kind is ActionKind.ENQUEUE:
        return client.create_in_order(key, value, ttl=action.ttl)
    if action.kind is ActionKind.MAKE_DIR:
        return client.mkdir(key, ttl=action.ttl)
    if action.kind is ActionKind.SET_DIR_TTL:
        return client.update_dir_ttl(key, action.ttl)
    if action.kind is ActionKind.REMOVE_DIR:
        return client.rmdir(key, recursive=action.recursive)
    if action.kind is ActionKind.REFRESH and action.before is not None and action.ttl is not None:
        return client.update_ttl(key, action.ttl, prev_index=action.before.modified_index)
    if not action.guarded:
        # It is never sent again, so it must not be lost with a connection that was idle.
        if action.kind is ActionKind.DELETE:
            return client.delete(key, fresh_connection=True)
        return client.write(key, value, ttl=action.ttl, fresh_connection=True)
    if action.before is None:
        return client.compare_and_swap(key, value, prev_exist=False, ttl=action.ttl)
    index = action.before.modified_index
    if action.kind is ActionKind.DELETE:
        return client.compare_and_delete(key, prev_index=index)
    return client.compare_and_swap(key, value, prev_index=index, ttl=action.ttl)


def checked(action: KeyAction, result: EtcdResult) -> EtcdResult:
    """The result of an action, unless the server did something else than it was asked for.

    Raises:
        errors.EtcdConflict: a key with a value was hit by what was meant for a directory; the
            server takes no condition for that.
        errors.EtcdInvalidResponse: a refresh changed the value. Servers before 2.3 do not know
            refreshes and take them for writes of an empty value.
    """
    if action.kind is ActionKind.REMOVE_DIR:
        found = result.prev_node
        if found is not None and not found.dir:
            raise errors.EtcdConflict(
                "a key with a value took the place of the directory %s just before it was to be"
                " removed, and was deleted in its stead" % action.key,
                endpoint=result.endpoint,
            )
    elif action.kind is ActionKind.SET_DIR_TTL:
        if result.node is not None and not result.node.dir:
            raise errors.EtcdConflict(
                "a key with a value took the place of the directory %s just before its TTL was to"
                " be set, and its value is empty now" % action.key,
                endpoint=result.endpoint,
            )
    elif action.kind is ActionKind.REFRESH:
        if result.node is not None and result.node.value != action.value:
            raise errors.EtcdInvalidResponse(
                "the server set the TTL of %s and changed its value as well: it does not know"
                " refreshes (etcd has them since 2.3); write the value again, and with it the TTL"
                % action.key,
                endpoint=result.endpoint,
            )
    return result
