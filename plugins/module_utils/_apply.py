# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read, plan, write: bringing a key or directory to the state that a task wishes.

PRIVATE to the collection: it can change at any time.

Every write carries the condition that it was planned under, so of two writers that race one loses
and knows it; the loser reads and plans again.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import errors
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    Incomplete,
    KeyAction,
    KeyState,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._carry_out import (
    ATTEMPTS,
    KeyClient,
    carry_out,
)
from ansible_collections.quorum.etcd.plugins.module_utils._in_doubt import LostRace, Outcome
from ansible_collections.quorum.etcd.plugins.module_utils._reading import (
    Reading,
    read,
    refuse_below_value,
)

Plan = t.Callable[[t.Optional[KeyState]], KeyAction]


def preview(client: KeyClient, key: str, plan: Plan, *, recursive: bool = False) -> Outcome:
    """What `converge` would do, without a write.

    Raises:
        errors.EtcdException: the key could not be read.
        Refusal: from the plan.
    """
    return _observed(plan, read(client, key, recursive))


def converge(client: KeyClient, key: str, plan: Plan, *, recursive: bool = False) -> Outcome:
    """Read the key, plan, and carry out what was planned, again until no other writer interferes.

    Args:
        key: as it is to be sent, with a slash at its end or without.
        recursive: read all that is below a directory, not its children only.

    Raises:
        Incomplete: of a change that takes two writes, the second failed.
        errors.EtcdConflict: other writers interfered each time.
        errors.EtcdOutcomeUnknown: a write was sent, and the cluster cannot tell what became of it.
        errors.EtcdException: anything else that the cluster answers.
        Refusal: from the plan.
    """
    outcome = _observed(plan, read(client, key, recursive))
    possible = None  # type: t.Optional[Outcome]
    for unused in range(ATTEMPTS):
        if not outcome.action.changes:
            break
        try:
            return _carry_out_all(client, outcome)
        except errors.EtcdDirNotEmpty as exc:
            raise Refusal(
                "%s is not empty, though a listing shows no children: it holds hidden ones, whose"
                " names start with an underscore, or one was made just now; recursive: true removes"
                " them too" % outcome.action.key,
                error=errors.EtcdDirNotEmpty,
            ) from exc
        except LostRace as race:
            possible = race.possible or possible
            outcome = _observed(plan, read(client, key, recursive))
    if outcome.action.changes:
        found = outcome.reading.state
        raise errors.EtcdConflict(
            "%s was changed by another writer in each of %d attempts (its modified index is now %s)"
            % (outcome.action.key, ATTEMPTS, "none" if found is None else found.modified_index),
            index=outcome.reading.etcd_index,
            endpoint=outcome.reading.endpoint,
        )
    if possible is None:
        return outcome
    # All is as it is to be, and not as it was read first; this task may be the reason.
    return outcome._replace(
        action=possible.action, reading=possible.reading, node=outcome.reading.node
    )


def _observed(plan: Plan, reading: Reading) -> Outcome:
    action = plan(reading.state)
    if action.changes:
        refuse_below_value(action.key, reading)
    return Outcome(
        action,
        reading,
        etcd_index=reading.etcd_index,
        endpoint=reading.endpoint,
        attempts=reading.attempts,
    )


def _carry_out_all(client: KeyClient, planned: Outcome) -> Outcome:
    """Carry out the action and what follows it."""
    first = carry_out(client, planned)
    rest = planned.action.then
    if rest is None:
        return first
    gone = Reading(None, first.etcd_index or 0, first.endpoint, first.attempts)
    try:
        last = carry_out(client, planned._replace(action=rest, reading=gone))
    except (LostRace, errors.EtcdException) as exc:
        raise Incomplete(
            "the key %s that was in the way is deleted, and the directory was not seen to be made"
            " in its place: %s" % (planned.action.key, str(exc) or "another writer was faster"),
            changed=True,
        ) from exc
    return last._replace(action=planned.action, reading=planned.reading)
