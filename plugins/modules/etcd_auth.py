#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_auth
short_description: Switch etcd v2 access control on or off
version_added: 0.1.0
description:
  - Makes sure that the access control of the v2 API is on or off, and sets what those may do who give
    no credentials.
  - It is refused to switch it on while there is no user V(root), because nobody could switch it off.
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details:
      - Only reads. Because an earlier task of the play may make it, that there is no user V(root) is a
        warning.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  enabled:
    description: Whether access control is to be on.
    type: bool
    required: true
  guest:
    description:
      - What the role V(guest) may do, which is the role of requests without credentials. V(none) is
        nothing, V(read) is to read all keys, V(full) is to read and write all keys.
      - It is set before access control is switched on, so that there is no moment in which a guest may
        do more than this.
      - If not set, the role is left as it is; if there is none, the server makes one that may read and
        write all keys when access control is switched on.
    type: str
    choices: [none, read, full]
seealso:
  - module: quorum.etcd.etcd_user
  - module: quorum.etcd.etcd_role
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Switch access control on, and let nobody in without credentials
  quorum.etcd.etcd_auth:
    username: root
    password: "{{ etcd_root_password }}"
    enabled: true
    guest: none

- name: Switch access control off
  quorum.etcd.etcd_auth:
    username: root
    password: "{{ etcd_root_password }}"
    enabled: false
"""

RETURN = r"""
enabled:
  description: Whether access control is on after the task.
  type: bool
  returned: success
guest_permissions:
  description: What the guest role may do after the task, as lists C(read) and C(write); V(null) if there is no such role.
  type: dict
  returned: success
error:
  description:
    - Name of the failure, such as V(EtcdUnreachable) or V(EtcdUnauthorized). All names are in
      R(What a task says when something fails,ansible_collections.quorum.etcd.docsite.failure_semantics_guide).
  type: str
  returned: failure, where it has a name
error_code:
  description: The error code of the v2 API; V(null) where the failure has none.
  type: int
  returned: failure, where it has a name
"""

from ansible_collections.quorum.etcd.plugins.module_utils._module import run
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.auth import manage_auth

ARGUMENT_SPEC = {
    "enabled": {"type": "bool", "required": True},
    "guest": {"type": "str", "choices": ["none", "read", "full"]},
}


def main() -> None:
    run(ARGUMENT_SPEC, manage_auth)


if __name__ == "__main__":
    main()
