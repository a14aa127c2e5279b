# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.quorum.etcd.plugins.plugin_utils._tree_source import run_module


class ActionModule(ActionBase):
    """The part of the module quorum.etcd.etcd_tree that runs on the controller."""

    _supports_async = True

    def run(self, tmp: t.Any = None, task_vars: t.Any = None) -> t.Dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        result.update(run_module(self, task_vars))
        return result
