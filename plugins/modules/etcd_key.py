#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_key
short_description: Manage keys of an etcd v2 store
version_added: 0.1.0
description:
  - Makes sure that a key of the etcd v2 API has a value and a time to live, or does not exist, or
    adds an in-order key to a directory.
  - The key is read with a quorum read first. A write carries the condition that it was decided
    under, so that of two writers that race, neither undoes the other unnoticed. The one that loses
    reads and decides again.
  - If the connection dies after a write was sent, the module asks the cluster's event history. Where
    the write was not carried out, it is sent again under the same condition. Where a write that is
    equal to it was, it is this task's or that of another client that wrote the same; the history
    does not tell whose. A task that only declares a state is then changed, as the key is as it was to
    be and was not before. A task with O(prev_value), O(prev_index) or O(prev_exist) fails with
    C(EtcdOutcomeUnknown), and RV(etcd_index) is the index that was found. So does any task where the
    history does not tell.
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details:
      - Reads the key and writes nothing.
  diff_mode:
    support: full
    details:
      - Shows the value as the lines that it has, and JSON laid out with sorted keys, so that only what differs
        is marked. The TTL has a line of its own.
      - Characters that a terminal would obey or not show are escaped. C(no_log) hides the value.
  idempotent:
    support: partial
    details:
      - Not with O(state=enqueued), which makes a new key each time, and not with
        O(refresh=always), which sets the TTL anew each time.
options:
  key:
    description:
      - The key, as a path. A leading slash is added where it is missing.
      - A slash at its end is sent as it is written. The store ignores it, and permissions do not. With the
        pattern V(/queue/*), a role may use V(/queue/) with O(state=enqueued), and not V(/queue).
      - All characters are allowed in a name. Empty names, V(.) and V(..) are refused.
      - With O(state=enqueued), the directory in which the in-order key is made.
    type: str
    required: true
  value:
    description:
      - The value. Required with O(state=present) and O(state=enqueued); V("") is a value.
      - A string is stored as it is. A mapping or list is stored as JSON with sorted keys and no
        blanks, and is compared as JSON, so that another order of keys or other blanks are no change.
      - A number or boolean is stored as JSON writes it, C(42) or C(true). YAML reads C(yes), C(on)
        and C(1.10) as a boolean or number; quote them to store them as they are.
      - etcd v2 stores text only. Encode binary data, for example with P(ansible.builtin.b64encode#filter).
    type: raw
  state:
    description:
      - V(present) makes sure that the key has the value and the TTL.
      - V(absent) makes sure that there is no such key. It fails if it is a directory. Below a key that
        holds a value nothing exists, so there the state holds.
      - V(enqueued) makes a key with this value in the directory O(key), whose name is a number that
        is larger than those of earlier ones. The task is always changed. It is never sent twice. If
        the answer is lost, the task looks for a new key with this value until O(total_timeout) is
        over, and fails with C(EtcdOutcomeUnknown); RV(etcd_index) is then the index of the key that
        was found, if one was. It is this task's, or that of another client that queued the same.
    type: str
    choices: [present, absent, enqueued]
    default: present
  ttl:
    description:
      - Seconds that the key lives. V(0) means that it lives for ever.
      - If not set, a new key lives for ever, and an existing key keeps the TTL that it has, also if
        the value changes.
    type: int
  refresh:
    description:
      - When the TTL of a key that has the right value already, and a TTL of at most O(ttl), is set
        anew. Setting it anew keeps the value and does not wake watchers.
      - V(never) leaves it to run out.
      - V(always) sets it each time; use it for a heartbeat.
      - V(below) sets it when fewer than O(refresh_below) seconds are left.
    type: str
    choices: [never, always, below]
    default: never
  refresh_below:
    description:
      - With O(refresh=below), the seconds that must be left for the TTL to be left alone.
    type: int
  prev_value:
    description:
      - Fail unless the key has this value. Written as O(value) is; V("") is a value.
      - All conditions that are given must hold together. They are checked also where the key is
        as wanted already.
    type: raw
  prev_index:
    description:
      - Fail unless this is the modified index of the key, as returned in RV(modified_index) by
        this module.
    type: int
  prev_exist:
    description:
      - V(true) fails unless the key exists, V(false) fails if it exists.
    type: bool
  guarded:
    description:
      - Whether a write is carried out only while the key is as it was read. It decides as well which
        events those see who watch the key.
      - V(true) writes with a creation, a compare-and-swap or a compare-and-delete, whose events are
        C(create), C(compareAndSwap) and C(compareAndDelete).
      - V(false) writes with a plain set or delete, whose events are C(set) and C(delete). It is for
        applications whose watchers know no others. The key is read first as well, and is not written
        if it is as wanted. But what another client writes between that read and the write is lost
        without notice, and two tasks that run at the same time can both be changed. Conditions
        (O(prev_value), O(prev_index), O(prev_exist)) are refused.
      - With V(false), a write whose answer is lost is not sent again, as a copy that arrives late
        would undo what others have written since. The task waits until O(total_timeout) is over for
        the key to be as wanted, and else fails with C(EtcdOutcomeUnknown).
      - The refresh of a TTL makes no event and is always guarded. O(state=enqueued) makes the event
        C(create) either way.
    type: bool
    default: true
    version_added: 0.1.0
notes:
  - Applications that watch a key and act on the events C(set) and C(delete) only do not notice what a
    guarded task writes. Teach them the events C(create), C(update), C(compareAndSwap),
    C(compareAndDelete) and C(expire), or set O(guarded=false).
seealso:
  - plugin: quorum.etcd.etcd_key
    plugin_type: lookup
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Set a key
  quorum.etcd.etcd_key:
    endpoints:
      - http://10.0.1.10:2379
      - http://10.0.1.11:2379
      - http://10.0.1.12:2379
    key: /app/config/mode
    value: production

- name: Store a mapping as JSON
  quorum.etcd.etcd_key:
    key: /app/config/limits
    value:
      connections: 100
      burst: 20

- name: Set a key that goes after an hour, and leave it alone while it lives
  quorum.etcd.etcd_key:
    key: /app/maintenance
    value: "on"
    ttl: 3600

- name: Keep a service registered
  quorum.etcd.etcd_key:
    key: /services/web/{{ inventory_hostname }}
    value: "{{ ansible_host | default('127.0.0.1') }}:8080"
    ttl: 120
    refresh: below
    refresh_below: 60

- name: Create a key only if nobody has
  quorum.etcd.etcd_key:
    key: /app/leader
    value: "{{ inventory_hostname }}"
    prev_exist: false
  register: election
  failed_when: election is failed and election.error | default('') != 'EtcdNodeExist'

- name: Take the lock over from a known holder
  quorum.etcd.etcd_key:
    key: /app/lock
    value: deploy-42
    prev_value: deploy-41

- name: Add a job to a queue
  quorum.etcd.etcd_key:
    key: /queue
    value: rebuild
    state: enqueued

- name: Remove a key
  quorum.etcd.etcd_key:
    key: /app/maintenance
    state: absent
"""

RETURN = r"""
key:
  description: The key, with its leading slash; with O(state=enqueued), the one that was made.
  type: str
  returned: success
  sample: /app/config/mode
value:
  description:
    - The value that is stored now; V(null) if there is no such key.
    - If a condition fails, the value that was found.
  type: str
  returned: success, or a condition failed
  sample: production
ttl:
  description: Seconds that the key has to live; V(null) without a TTL.
  type: int
  returned: success, or a condition failed
expiration:
  description: When the key goes, in UTC; V(null) without a TTL, and where only the server will know.
  type: str
  returned: success
  sample: "2026-01-01T12:00:00.000000000Z"
created_index:
  description: The store's index when the key was created; V(null) if there is no such key.
  type: int
  returned: success
modified_index:
  description:
    - The store's index when the key was last written, for O(prev_index) of a later task; V(null)
      if there is no such key, or in check mode if it would be written.
    - If a condition fails, the one that was found.
  type: int
  returned: success, or a condition failed
prev_value:
  description: The value before the task; V(null) if there was no such key.
  type: str
  returned: success
prev_index:
  description: The modified index before the task; V(null) if there was no such key.
  type: int
  returned: success
action:
  description: What was done, or would be in check mode.
  type: str
  returned: success
  sample: swap
etcd_index:
  description:
    - The store's index, from the last answer.
    - If the outcome is unknown, the index of the write that was found and is equal to the task's;
      V(null) if none was found.
  type: int
  returned: success, or an error of the cluster
endpoint:
  description: The endpoint that gave the last answer.
  type: str
  returned: success
  sample: http://10.0.1.10:2379
requests_sent:
  description: How many requests were sent for the last answer; more than 1 if endpoints were slow or down.
  type: int
  returned: success
error:
  description:
    - Name of the failure, such as V(EtcdUnreachable), V(EtcdUnauthorized) or V(EtcdOutcomeUnknown).
    - A condition that fails is V(EtcdKeyNotFound) if there is no such key, V(EtcdNodeExist) if it exists and
      O(prev_exist=false), and otherwise V(EtcdTestFailed).
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
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.key import manage_key

ARGUMENT_SPEC = {
    "key": {"type": "str", "required": True, "no_log": False},
    "value": {"type": "raw"},
    "state": {
        "type": "str",
        "default": "present",
        "choices": ["present", "absent", "enqueued"],
    },
    "ttl": {"type": "int"},
    "refresh": {"type": "str", "default": "never", "choices": ["never", "always", "below"]},
    "refresh_below": {"type": "int"},
    "prev_value": {"type": "raw"},
    "prev_index": {"type": "int"},
    "prev_exist": {"type": "bool"},
    "guarded": {"type": "bool", "default": True},
}


def main() -> None:
    run(ARGUMENT_SPEC, manage_key, keys_only=True)


if __name__ == "__main__":
    main()
