# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.quorum.etcd.plugins.plugin_utils._tree_source import with_tree_on_host


class ActionModule(ActionBase):
    """The part of the module quorum.etcd.etcd_tree that runs on the controller."""

    def run(self, tmp: t.Any = None, task_vars: t.Any = None) -> t.Dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        arguments = with_tree_on_host(self, self._task.args)
        result.update(
            self._execute_module(
                module_args=arguments, task_vars=task_vars, wrap_async=self._task.async_val
            )
        )
        return result
