#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_user
short_description: Manage users of etcd v2 access control
version_added: 0.1.0
description:
  - Makes sure that a user exists with these roles and this password, or does not exist.
  - The users of the v2 API are not those of the v3 API. Once access control is on, only root may
    manage them.
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details:
      - Only reads. Because an earlier task of the play may make it, a role or user that is missing is
        a warning.
  diff_mode:
    support: full
    details:
      - Says that a password is set, and never which.
  idempotent:
    support: partial
    details:
      - With O(update_password=always), a password that cannot be tried is set each time. It can be
        tried if access control is on and the user may read something.
options:
  name:
    description: The user.
    type: str
    required: true
  state:
    description: Whether the user is to exist.
    type: str
    choices: [present, absent]
    default: present
  user_password:
    description:
      - The user's password. Required to make a user. It may hold any characters.
      - Not to be confused with O(password), with which the task itself logs in.
    type: str
  update_password:
    description:
      - V(always) makes sure that an existing user has O(user_password). It is tried first, by reading
        a key that the user may read, and set only if it does not work or cannot be tried.
      - V(on_create) sets it for new users only.
    type: str
    choices: [always, on_create]
    default: always
  roles:
    description:
      - Roles that the user is to have. They must exist.
      - If not set, the roles of an existing user are left alone.
    type: list
    elements: str
  purge_roles:
    description:
      - Whether roles that O(roles) does not name are revoked. Needs O(roles).
    type: bool
    default: false
seealso:
  - module: quorum.etcd.etcd_role
  - module: quorum.etcd.etcd_auth
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Make the user without whom access control cannot be switched on
  quorum.etcd.etcd_user:
    name: root
    user_password: "{{ etcd_root_password }}"

- name: Make a user for an application
  quorum.etcd.etcd_user:
    username: root
    password: "{{ etcd_root_password }}"
    name: app
    user_password: "{{ etcd_app_password }}"
    roles: [app]
    purge_roles: true

- name: Remove a user
  quorum.etcd.etcd_user:
    name: app
    state: absent
"""

RETURN = r"""
name:
  description: The user.
  type: str
  returned: success
roles:
  description: The user's roles after the task; V(null) if there is no such user.
  type: list
  elements: str
  returned: success
password_changed:
  description: Whether the password was set.
  type: bool
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
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.auth import manage_user

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "user_password": {"type": "str", "no_log": True},
    "update_password": {
        "type": "str",
        "default": "always",
        "choices": ["always", "on_create"],
        "no_log": False,
    },
    "roles": {"type": "list", "elements": "str"},
    "purge_roles": {"type": "bool", "default": False},
}


def main() -> None:
    run(ARGUMENT_SPEC, manage_user)


if __name__ == "__main__":
    main()
