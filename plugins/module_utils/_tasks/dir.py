# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module etcd_dir does.

PRIVATE to the collection: it can change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.quorum.etcd.plugins.module_utils import _apply
from ansible_collections.quorum.etcd.plugins.module_utils._actions import (
    ActionKind,
    KeyAction,
    KeyState,
    Refusal,
)
from ansible_collections.quorum.etcd.plugins.module_utils._plan import dir as dir_plan


def manage_dir(
    options: t.Mapping[str, t.Any], connect: t.Callable[[], t.Any], *, apply: bool
) -> t.Dict[str, t.Any]:
    """Bring a directory to the state that the options describe, and say what changed.

    Args:
        connect: makes the client; called once the options have been found right.
        apply: False to find out only.
    """
    wish = dir_plan.wish_from_options(options)
    client = connect()
    warnings = []  # type: t.List[str]

    def plan(current: t.Optional[KeyState]) -> KeyAction:
        action = dir_plan.plan(current, wish)
        if action.kind is ActionKind.SET_DIR_TTL:
            warnings[:] = _refuse_unless_ttl_can_be_set(client, wish.path)
        return action

    bring_about = _apply.converge if apply else _apply.preview
    outcome = bring_about(client, wish.sent_as, plan, recursive=wish.recursive)
    report = _report(outcome)
    if options["children"]:
        report["children"] = _children(outcome)
    report["warnings"] = warnings
    return report


def _refuse_unless_ttl_can_be_set(client: t.Any, path: str) -> t.List[str]:
    """The members of a cluster of two versions would disagree, so all are asked for theirs.

    The cluster's version is that of its oldest member.

    Returns:
        A warning for each member whose version is not known, and so does not count.
    """
    refused = (
        "the TTL of the directory %s is not as wanted, and etcd 3.5 cannot change the TTL of a"
        " directory that exists (%s %s); leave ttl out, or remove the directory and make it again"
    )
    for what, ask in (
        ("this server is etcd", client.version),
        ("the cluster's version is", client.version_cluster),
    ):
        version = ask()
        if not dir_plan.can_set_ttl(version):
            raise Refusal(refused % (path, what, version))
    members = [member for member in client.members() if member.started]
    surveys = client.survey_members(members, ask=("version",))
    warnings = []
    for member in members:
        survey = surveys[member.id]
        if survey.version is None:
            warnings.append(
                "the version of the member %s is not known (%s); if it is etcd 3.5, it keeps the old"
                " TTL of %s while the others take the new one" % (member.name, survey.reason, path)
            )
        elif not dir_plan.can_set_ttl(survey.version):
            what = "the member %s is etcd" % member.name
            raise Refusal(refused % (path, what, survey.version))
    return warnings


def _children(outcome: _apply.Outcome) -> t.List[str]:
    """What is in the directory after the task."""
    action = outcome.action
    if action.before is None or action.kind in (ActionKind.REMOVE_DIR, ActionKind.DELETE):
        return []
    return list(action.before.children)


def _report(outcome: _apply.Outcome) -> t.Dict[str, t.Any]:
    action, before, node = outcome.action, outcome.action.before, outcome.node
    after = dir_plan.state_after(action)
    kept = before if before is not None and before.is_dir and after else None
    report = {
        "changed": action.changes,
        "action": "replace" if action.then is not None else action.kind.value,
        "directory": action.key,
        "ttl": after.get("ttl"),
        "expiration": None,
        "created_index": None,
        "modified_index": None,
        "prev_value": None if before is None else before.value,
        "prev_index": None if before is None else before.modified_index,
        "etcd_index": outcome.etcd_index,
        "endpoint": outcome.endpoint,
        "requests_sent": outcome.attempts,
        "diff": {
            "before_header": action.key,
            "after_header": action.key,
            "before": dir_plan.state_before(action),
            "after": after,
        },
    }  # type: t.Dict[str, t.Any]
    if after and node is not None:
        report.update(
            ttl=node.ttl,
            expiration=node.expiration,
            created_index=node.created_index,
            modified_index=node.modified_index,
        )
        if action.kind is ActionKind.SET_DIR_TTL and kept is not None:
            # The answer shows a new index, and the store keeps the old one (observed on 3.4.23).
            report["modified_index"] = kept.modified_index
    elif kept is not None:
        report["created_index"] = kept.created_index
        if not action.changes:
            report.update(expiration=kept.expiration, modified_index=kept.modified_index)
    return report
