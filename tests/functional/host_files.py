# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the host without Ansible, which these tests run without."""

from __future__ import annotations

import os

from ansible_collections.quorum.etcd.plugins.module_utils import _files


class PlainFiles:
    """Implements `_tasks.backup.HostFiles`, for tasks that have no options for files."""

    def write(self, name: str, text: str) -> None:
        """Replace a file, whole or not at all."""
        with _files.written_aside(name, text) as temporary:
            os.replace(temporary, name)

    def set_attributes(self, name: str) -> bool:
        """There is nothing to set."""
        return False
