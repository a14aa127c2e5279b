# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where modules meet Ansible: arguments, check mode, diff, exit and failure.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.quorum.etcd.plugins.module_utils import (
    _apply,
    _connection,
    _deps,
    errors,
)
from ansible_collections.quorum.etcd.plugins.module_utils._actions import KeyState, Refusal
from ansible_collections.quorum.etcd.plugins.module_utils._plan import key as key_plan

_FAILURES = (
    Refusal,
    errors.ClientException,
    errors.EtcdException,
    _deps.MissingLibrary,
)


def run_key(argument_spec: t.Mapping[str, t.Any]) -> None:
    """Run the module etcd_key."""
    module = AnsibleModule(
        argument_spec=dict(_connection.ARGUMENT_SPEC, **argument_spec),
        supports_check_mode=True,
    )
    try:
        wish = key_plan.wish_from_options(module.params)
        bring_about = _apply.preview if module.check_mode else _apply.converge
        outcome = bring_about(
            _client(module), wish.key, lambda current: key_plan.plan(current, wish)
        )
    except _FAILURES as exc:
        _fail(module, exc)
    else:
        module.exit_json(**_report(outcome, with_diff=module._diff))


def _client(module: AnsibleModule) -> t.Any:
    chosen = _connection.settings(module.params, os.environ)
    if chosen.password:
        # One from the environment is not known to Ansible as a secret.
        module.no_log_values.add(chosen.password)
    return _connection.connect(chosen, module.warn)


def _fail(module: AnsibleModule, exc: Exception) -> None:
    if isinstance(exc, _deps.MissingLibrary):
        module.fail_json(msg=missing_required_lib(exc.name), exception=exc.reason)
    elif isinstance(exc, Refusal):
        module.fail_json(msg=str(exc), **_found(exc.state))
    elif isinstance(exc, errors.EtcdException):
        module.fail_json(
            msg=str(exc),
            error=type(exc).__name__,
            error_code=exc.code,
            etcd_index=exc.index,
            endpoint=exc.endpoint,
        )
    else:
        module.fail_json(msg=str(exc))


def _found(state: t.Optional[KeyState]) -> t.Dict[str, t.Any]:
    if state is None:
        return {}
    return {"value": state.value, "modified_index": state.modified_index, "ttl": state.ttl}


def _report(outcome: _apply.Outcome, *, with_diff: bool) -> t.Dict[str, t.Any]:
    """What the task returns."""
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
    report = {
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
        "attempts": outcome.attempts,
    }  # type: t.Dict[str, t.Any]
    if with_diff:
        report["diff"] = {
            "before_header": action.key,
            "after_header": action.key,
            "before": key_plan.state_before(action) or {},
            "after": key_plan.state_after(action) or {},
        }
    return report
