# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What each plugin says of check mode, diff mode and the like."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what would change without changing the cluster.
  diff_mode:
    description: Returns what was changed, or would be in C(check_mode), when in diff mode.
  idempotent:
    description: Does nothing, and reports no change, when run again with the same options.
  action_group:
    description: Use C(group/quorum.etcd.etcd) in C(module_defaults) to set options of all modules.
    support: full
    membership:
      - quorum.etcd.etcd
"""
