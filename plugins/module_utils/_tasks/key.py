# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_key does.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _apply, _diffs
from ansible_collections.quorum.etcd.plugins.module_utils._plan import key as key_plan


def manage_key(
    options: t.Mapping[str, t.Any], connect: t.Callable[[], t.Any], *, apply: bool
) -> t.Dict[str, t.Any]:
    """Bring a key to the state that the options describe, and say what changed.

    Args:
        connect: makes the client; called once the options have been found right.
        apply: False to find out only.
    """
    wish = key_plan.wish_from_options(options)
    bring_about = _apply.converge if apply else _apply.preview
    outcome = bring_about(connect(), wish.sent_as, lambda current: key_plan.plan(current, wish))
    return _report(outcome)


def _report(outcome: _apply.Outcome) -> t.Dict[str, t.Any]:
    action, before = outcome.action, outcome.action.before
    after = key_plan.state_after(action)
    created_index = modified_index = expiration = None
    if outcome.node is not None and after is not None:
        created_index = outcome.node.created_index
        modified_index = outcome.node.modified_index
        expiration = outcome.node.expiration
        after = dict(after, ttl=outcome.node.ttl)
    elif before is not None and after is not None:
        created_index = before.created_index
        if not action.changes:
            modified_index, expiration = before.modified_index, before.expiration
    return {
        "changed": action.changes,
        "action": action.kind.value,
        "key": action.key if outcome.node is None else outcome.node.key,
        "value": None if after is None else after["value"],
        "ttl": None if after is None else after["ttl"],
        "expiration": expiration,
        "created_index": created_index,
        "modified_index": modified_index,
        "prev_value": None if before is None else before.value,
        "prev_index": None if before is None else before.modified_index,
        "etcd_index": outcome.etcd_index,
        "endpoint": outcome.endpoint,
        "requests_sent": outcome.attempts,
        "diff": functools.partial(
            _diffs.key_diff,
            action.key,
            key_plan.state_before(action),
            key_plan.state_after(action),
        ),
    }
