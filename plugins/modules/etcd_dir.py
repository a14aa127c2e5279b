#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_dir
short_description: Manage directories of an etcd v2 store
version_added: 0.1.0
description:
  - Makes sure that a directory of the etcd v2 API exists, or does not.
  - The directory is read with a quorum read first. A key with a value that stands in its place is
    never touched unless O(force=true).
  - The server takes no condition for the removal of a directory and for its TTL. Where the answer to
    one of these is lost, it is not sent again, as a copy that arrives late would remove what others
    have written since. The task waits until O(total_timeout) is over for the directory to be as wanted,
    and else fails with C(EtcdOutcomeUnknown); the change may then still take place.
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details:
      - Reads the directory and writes nothing. The server does not list hidden keys, so a directory
        that holds nothing else looks empty, and that its removal would fail cannot be foreseen.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description:
      - The directory. A leading slash is added where it is missing. V(/) is refused.
      - A slash at its end is sent as it is written, and always with O(recursive=true). The store ignores
        it, and permissions do not. See M(quorum.etcd.etcd_role).
    type: str
    required: true
  state:
    description:
      - V(present) makes sure that the directory exists; those above it are made as needed.
      - V(absent) makes sure that it does not. It fails if it is a key with a value. Below such a key
        nothing exists, so there the state holds.
    type: str
    choices: [present, absent]
    default: present
  ttl:
    description:
      - Seconds that the directory lives, with all that is in it. V(0) means that it lives for ever.
      - If not set, a new directory lives for ever, and an existing one keeps the TTL that it has.
      - A directory that exists and has a TTL of at most this many seconds is left alone.
      - Only etcd 3.4 can change the TTL of a directory that exists; etcd 3.5 cannot, and the task
        fails. For this all members are asked for their version, those that are not among the endpoints
        at the client URLs that they advertise, without credentials. The task warns of a member whose
        version cannot be learnt.
    type: int
  recursive:
    description: With O(state=absent), remove the directory with all that is in it, hidden keys too.
    type: bool
    default: false
  force:
    description:
      - With O(state=present), replace a key with a value that stands in the place of the directory.
        The value is lost; it is shown in the diff and returned.
    type: bool
    default: false
  prev_index:
    description:
      - Fail unless this is the modified index of what is there.
      - The server itself compares it only when a key with a value is replaced. For directories, which
        the server cannot compare, it is compared with what was read just before. Where the answer to
        the change is then lost, the task fails with C(EtcdOutcomeUnknown), as the change that is found
        may be another client's; RV(etcd_index) is its index.
    type: int
  children:
    description: Whether to return what is in the directory.
    type: bool
    default: false
seealso:
  - module: quorum.etcd.etcd_key
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Make a directory
  quorum.etcd.etcd_dir:
    endpoints: [http://10.0.1.10:2379, http://10.0.1.11:2379]
    path: /app/config

- name: Make one that goes with all that is in it after a day
  quorum.etcd.etcd_dir:
    path: /app/session
    ttl: 86400

- name: Learn what is in it
  quorum.etcd.etcd_dir:
    path: /app/config
    children: true
  register: config

- name: Remove a directory with all that is in it
  quorum.etcd.etcd_dir:
    path: /app/session
    state: absent
    recursive: true
"""

RETURN = r"""
directory:
  description: The directory, with its leading slash.
  type: str
  returned: success
  sample: /app/config
ttl:
  description: Seconds that the directory has to live; V(null) without a TTL, or if there is none.
  type: int
  returned: success
expiration:
  description: When the directory goes, in UTC; V(null) without a TTL, and where only the server will know.
  type: str
  returned: success
created_index:
  description: The store's index when the directory was made; V(null) if there is none.
  type: int
  returned: success
modified_index:
  description:
    - The store's index when the directory was made, which a change of its TTL leaves as it is; V(null)
      if there is none, or in check mode if it would be written.
  type: int
  returned: success
prev_value:
  description: The value of the key that the directory replaced; V(null) if it replaced none.
  type: str
  returned: success
prev_index:
  description: The modified index of what was there before; V(null) if there was nothing.
  type: int
  returned: success
children:
  description: Full keys of what is in the directory, or below it with O(recursive=true), after the task.
  type: list
  elements: str
  returned: success, with O(children=true)
action:
  description: What was done, or would be in check mode.
  type: str
  returned: success
  sample: make_dir
etcd_index:
  description:
    - The store's index, from the last answer.
    - If the outcome is unknown, the index of the change that was found and is equal to the task's;
      V(null) if none was found.
  type: int
  returned: success, or an error of the cluster
endpoint:
  description: The endpoint that gave the last answer.
  type: str
  returned: success
requests_sent:
  description: How many requests were sent for the last answer.
  type: int
  returned: success
error:
  description:
    - Name of the failure, such as V(EtcdUnreachable), V(EtcdDirNotEmpty), V(EtcdNotDir) if a key with a value is
      in the way, or V(EtcdTestFailed) if O(prev_index) does not fit.
    - All names are in
      R(What a task says when something fails,ansible_collections.quorum.etcd.docsite.failure_semantics_guide).
  type: str
  returned: failure, where it has a name
error_code:
  description: The error code of the v2 API; V(null) where the failure has none.
  type: int
  returned: failure, where it has a name
"""

from ansible_collections.quorum.etcd.plugins.module_utils._module import run
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.dir import manage_dir

ARGUMENT_SPEC = {
    "path": {"type": "str", "required": True},
    "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "ttl": {"type": "int"},
    "recursive": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "prev_index": {"type": "int"},
    "children": {"type": "bool", "default": False},
}


def main() -> None:
    run(ARGUMENT_SPEC, manage_dir)


if __name__ == "__main__":
    main()
