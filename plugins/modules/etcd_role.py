#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_role
short_description: Manage roles of etcd v2 access control
version_added: 0.1.0
description:
  - Makes sure that a role exists with these permissions, or does not exist.
  - The roles of the v2 API are not those of the v3 API. Once access control is on, only root may
    manage them.
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details:
      - Only reads. Because an earlier task of the play may take the role from its users, that they
        still have it is a warning.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: The role. V(root) is part of the server and cannot be changed.
    type: str
    required: true
  state:
    description:
      - Whether the role is to exist.
      - V(absent) fails while users have the role, because the server could not show them any more.
    type: str
    choices: [present, absent]
    default: present
  permissions:
    description:
      - What the role permits, as lists of patterns. A pattern is a key, or a prefix that ends in V(*);
        it begins with a slash.
      - A directory needs two. V(/app) is the directory itself, as tasks write it without a slash at its
        end. V(/app/*) is what is below it, all requests for a whole tree (M(quorum.etcd.etcd_tree),
        M(quorum.etcd.etcd_backup), lookups and waits with C(recursive=true)), and the directory as V(/app/).
        The server compares the path as it is sent.
      - If not set, the permissions of an existing role are left alone, and a new one has none.
    type: dict
    suboptions:
      read:
        description: What may be read.
        type: list
        elements: str
        default: []
      write:
        description: What may be written.
        type: list
        elements: str
        default: []
      read_write:
        description: What may be read and written.
        type: list
        elements: str
        default: []
  purge_permissions:
    description:
      - Whether permissions that O(permissions) does not name are revoked. Needs O(permissions).
    type: bool
    default: false
seealso:
  - module: quorum.etcd.etcd_user
  - module: quorum.etcd.etcd_auth
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
# Both patterns: /app/* is for whole trees and what is below, /app for the directory itself.
- name: Let a role manage one application's keys and read what is common
  quorum.etcd.etcd_role:
    name: app
    permissions:
      read: [/common, /common/*]
      read_write: [/app, /app/*]
    purge_permissions: true

- name: Remove a role
  quorum.etcd.etcd_role:
    name: app
    state: absent
"""

RETURN = r"""
name:
  description: The role.
  type: str
  returned: success
permissions:
  description: What it permits after the task, as lists C(read) and C(write); V(null) if it does not exist.
  type: dict
  returned: success
  sample:
    read: [/app, /app/*, /common, /common/*]
    write: [/app, /app/*]
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
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.auth import manage_role

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "permissions": {
        "type": "dict",
        "options": {
            "read": {"type": "list", "elements": "str", "default": []},
            "write": {"type": "list", "elements": "str", "default": []},
            "read_write": {"type": "list", "elements": "str", "default": []},
        },
    },
    "purge_permissions": {"type": "bool", "default": False},
}


def main() -> None:
    run(ARGUMENT_SPEC, manage_role)


if __name__ == "__main__":
    main()
