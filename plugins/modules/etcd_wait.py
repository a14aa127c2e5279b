#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_wait
short_description: Wait for a key of an etcd v2 store
version_added: 0.1.0
description:
  - Waits until a key of the etcd v2 API exists, is gone, has a value, or changes.
  - The key is read with a quorum read, and is watched from the index of that read on, so that a
    change in between is not missed. The server sends a change as soon as it happens; nothing is
    polled.
  - A watch whose connection breaks goes on at another endpoint where it was. One that has been silent
    for 15 seconds is opened anew, after a read that finds an endpoint that answers, so that a member
    or a connection that is stuck does not hold it. While no endpoint answers, or the cluster has no
    leader, the task tries again until O(wait_timeout) is over.
  - The server remembers 1000 events of the whole store. Where it has forgotten some that the wait
    needs, the key is read again and compared with what was read before. What came and went in the
    meantime does not show then.
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details:
      - Reads the key once and does not wait. RV(met) says whether the wait would be over at once.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  key:
    description:
      - The key or directory. A leading slash is added where it is missing.
      - Where a role limits what may be read, waiting for V(/app/x) needs the pattern V(/app/x). It needs
        V(/app/x/*) as well with O(condition=exists), with O(recursive=true), and with O(condition=changed) while
        there is no such key, because what comes below the key makes it exist. V(/app/*) is enough for all of them.
    type: str
    required: true
  condition:
    description:
      - What to wait for. All but V(changed) are met at once if the key is so already.
      - V(exists) is a key with a value, or a directory. A directory in which there are only hidden
        keys makes no event, and is noticed up to 15 seconds later.
      - V(absent) is no such key. Deletion and expiry are both fine, also those of a directory above it.
      - V(equals) is a key with this O(value).
      - V(matches) is a key whose value matches the regular expression O(value).
      - V(changed) is the next event on the key, whatever it is. A write of the same value is one, and
        so is a deletion or an expiry. A TTL that is set anew without a write, as P(quorum.etcd.etcd_key#module)
        does with O(quorum.etcd.etcd_key#module:refresh), is none. On a directory, only its creation,
        its removal and a change of its TTL are events, unless O(recursive=true).
    type: str
    choices: [exists, absent, equals, matches, changed]
    default: exists
  value:
    description:
      - With O(condition=equals), the value. It is read as O(quorum.etcd.etcd_key#module:value) is, so a
        mapping or list is compared as JSON, and numbers and booleans are what JSON writes.
      - With O(condition=matches), a regular expression of Python. It is searched for anywhere in the
        value; begin it with C(^) and end it with C($) to match the whole.
      - Not allowed with other conditions.
    type: raw
  since_index:
    description:
      - With O(condition=changed), the first event after this index of the store is waited for, also if
        it happened before the task. Give RV(quorum.etcd.etcd_key#module:modified_index) or
        RV(etcd_index) of an earlier task, and nothing in between is missed.
      - With another condition, an event after this index that met it counts as well, also if the
        condition does not hold any more.
      - Without it, what happens from now on counts. An index that the store has not reached is refused.
      - If the server has forgotten the events since, O(condition=changed) is met by a key that was
        written after this index, or whose TTL was set anew.
    type: int
  recursive:
    description: With O(condition=changed), whether events below the directory O(key) count.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds to wait. If the condition is not met by then, the task fails.
      - O(total_timeout) bounds each single read, the first one included, and does not bound the wait.
        When the time is over, the key is read once more, for up to five seconds.
    type: float
    default: 300.0
seealso:
  - module: quorum.etcd.etcd_key
  - ref: ansible_collections.quorum.etcd.docsite.failure_semantics_guide
    description: What a task says when something fails.
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Wait until a service is registered
  quorum.etcd.etcd_wait:
    endpoints: [http://10.0.1.10:2379, http://10.0.1.11:2379]
    key: /services/web/node1
    wait_timeout: 60

- name: Wait until a job says that it is done
  quorum.etcd.etcd_wait:
    key: /jobs/migration
    condition: equals
    value: done

- name: Wait until a version of at least 2 is there
  quorum.etcd.etcd_wait:
    key: /app/version
    condition: matches
    value: ^([2-9]|[1-9][0-9]+)\.

- name: Ask an application to read its configuration
  quorum.etcd.etcd_key:
    key: /app/reload
    value: please
  register: asked

- name: Wait for its answer, also if it was faster than this playbook
  quorum.etcd.etcd_wait:
    key: /app/state
    condition: changed
    since_index: "{{ asked.etcd_index }}"

- name: Wait until a lock is free
  quorum.etcd.etcd_wait:
    key: /app/lock
    condition: absent

- name: Wait for any change of the configuration
  quorum.etcd.etcd_wait:
    key: /app/config
    condition: changed
    recursive: true
  register: news

- name: Say what has changed
  ansible.builtin.debug:
    msg: "{{ news.event_key }} is now {{ news.event_value }}"
"""

RETURN = r"""
met:
  description: Whether the condition was met; V(false) only in check mode and in a failure.
  type: bool
  returned: success, or not met in time
waited:
  description: Seconds that the task waited.
  type: float
  returned: success, or not met in time
  sample: 2.614
key:
  description: The key that was waited for, with its leading slash.
  type: str
  returned: success, or not met in time
exists:
  description: Whether the key exists, as it was seen last.
  type: bool
  returned: success, or not met in time
dir:
  description: Whether it is a directory.
  type: bool
  returned: success, or not met in time
value:
  description: Its value, as it was seen last; V(null) if there is no such key, or if it is a directory.
  type: str
  returned: success, or not met in time
  sample: done
ttl:
  description: Seconds that it had to live at that moment; V(null) without a TTL.
  type: int
  returned: success, or not met in time
expiration:
  description: When it goes, in UTC; V(null) without a TTL.
  type: str
  returned: success, or not met in time
created_index:
  description:
    - The store's index when it was created; V(null) if there is no such key, or if it is a directory
      and was seen by what happened in it.
  type: int
  returned: success, or not met in time
modified_index:
  description: The store's index when it was last written; V(null) as for RV(created_index).
  type: int
  returned: success, or not met in time
action:
  description:
    - The event that ended the wait, in etcd's words, for example C(set), C(delete) or C(expire).
    - V(null) if no event did, because a read showed that the condition is met.
  type: str
  returned: success, or not met in time
  sample: set
event_key:
  description: The key that the event was about, which may be one above or below RV(key); V(null) without an event.
  type: str
  returned: success, or not met in time
event_value:
  description: The value of RV(event_key) after the event; V(null) without one.
  type: str
  returned: success, or not met in time
prev_value:
  description: The value of RV(event_key) before the event; V(null) without one.
  type: str
  returned: success, or not met in time
etcd_index:
  description: The store's index at the event, or at the last read, for O(since_index) of a later task.
  type: int
  returned: success, or not met in time
endpoint:
  description: The endpoint that gave the last answer.
  type: str
  returned: success, or not met in time
requests_sent:
  description: How many requests were sent for the last answer.
  type: int
  returned: success, or not met in time
error:
  description:
    - Name of the failure, such as V(EtcdWatchTimeout) if the time was over, or V(EtcdUnreachable).
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
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.wait import wait_for_key

ARGUMENT_SPEC = {
    "key": {"type": "str", "required": True, "no_log": False},
    "condition": {
        "type": "str",
        "default": "exists",
        "choices": ["exists", "absent", "equals", "matches", "changed"],
    },
    "value": {"type": "raw"},
    "since_index": {"type": "int"},
    "recursive": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float", "default": 300.0},
}


def main() -> None:
    run(ARGUMENT_SPEC, wait_for_key, keys_only=True)


if __name__ == "__main__":
    main()
