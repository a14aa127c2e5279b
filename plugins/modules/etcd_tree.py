#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_tree
short_description: Manage whole trees of keys of an etcd v2 store
version_added: 0.1.0
description:
  - Makes a directory of the etcd v2 API, with all that is below it, equal to a mapping, in one task.
    A mapping becomes a directory, everything else the value of a key.
  - The directory is read with one quorum read, and only what differs is written, over several
    connections at once, each write under the condition that the key still is as it was read.
  - Nothing is rolled back. A task that fails part way says what was done, what failed and what was
    not tried, and the same task run again does the rest.
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details: Reads the directory and writes nothing.
  diff_mode:
    support: full
    details:
      - Shows what differs, as M(quorum.etcd.etcd_key) does. Keys whose values have one line, and directories,
        are one list; a key whose value has more lines, JSON among them, has a diff of its own. So C(diff) in a
        registered result is a list.
      - The values of O(secret_keys) are not shown.
  idempotent:
    support: full
options:
  path:
    description:
      - The directory that the tree stands for. A leading slash is added where it is missing.
      - It is read as a whole, for which a role needs the pattern V(/app/*) if this is V(/app). To make or to
        remove the directory itself, it needs V(/app) too, unless this is written V(/app/).
    type: str
    required: true
  tree:
    description:
      - A mapping of names to values. A value that is a mapping is a directory; an empty one is an
        empty directory.
      - Strings are stored as they are; numbers, booleans and lists as JSON, as
        M(quorum.etcd.etcd_key) stores them. A value of V(null) is refused.
      - Names that are numbers or booleans become strings, as JSON writes them. A name with a slash
        is refused; nest mappings instead.
      - With O(state=absent), values do not matter; without O(tree) and O(src), all that is below
        O(path) is removed, and O(path) itself.
    type: raw
  src:
    description:
      - A file that holds the tree, in JSON or YAML. Names that are given twice are refused.
      - It is looked for on the controller, as M(ansible.builtin.copy) does, and may be encrypted with
        Ansible Vault.
    type: path
  src_format:
    description:
      - What O(src) holds. V(tree) is a mapping of names to values.
      - V(backup) is what M(quorum.etcd.etcd_backup) wrote, of which the part at O(path) and below it is used.
        Keys, and directories that are made anew, get the TTL that was left to them when the backup was
        made, or none. A directory that exists keeps the TTL that it has; if it is another one, the task warns.
        A backup that its checksum does not fit is refused. Hidden keys in it need O(include_hidden=true).
    type: str
    choices: [tree, backup]
    default: tree
  remote_src:
    description: Whether O(src) is on the host. YAML then needs PyYAML there; JSON needs nothing.
    type: bool
    default: false
  state:
    description:
      - V(present) makes sure that the keys of the tree have these values.
      - V(absent) makes sure that its keys do not exist, nor its directories, if nothing else is in them.
        Below a key that holds a value nothing exists, so there the state holds, and the value is left.
    type: str
    choices: [present, absent]
    default: present
  purge:
    description:
      - With O(state=present), remove keys and directories below O(path) that the tree does not name.
      - Without O(include_hidden), a directory that holds hidden keys is not removed, and the task fails.
      - A tree that holds no key with a value is refused, unless O(purge_all=true).
    type: bool
    default: false
  purge_all:
    description:
      - With O(purge=true), whether the tree may be one that holds no key with a value, so that every key
        below O(path) is removed. Otherwise such a tree, which a misspelt variable with a default gives,
        is refused.
    type: bool
    default: false
  purge_limit:
    description:
      - How many keys and directories O(purge=true), or O(state=absent) without a tree, may remove. If
        it would be more, the task fails before it writes anything.
      - What is planned again because of another client counts together with what was removed already.
    type: int
  purge_exclude:
    description:
      - Shell patterns of keys that are never removed, nor what is below them. They are compared with the
        key without O(path) and its slash; C(*) stands for any characters, slashes too.
      - A pattern without a slash is a name at any depth. One with a slash begins at O(path); V(/locks) is
        C(locks) right below it.
      - A pattern that matches nothing, neither what is there nor what the tree names, is a warning.
    type: list
    elements: str
    default: []
  include_hidden:
    description:
      - Whether the tree may name hidden keys and directories, whose names start with an underscore.
        The server does not list them, so each costs a read of its own.
      - A directory that is removed then goes with the hidden keys in it, and with what another client
        put there in the same moment.
    type: bool
    default: false
  ttl:
    description:
      - Seconds that the keys of the tree live. V(0) means that they live for ever. Directories get none.
      - If not set, new keys live for ever, and existing ones keep the TTL that they have.
      - A key that has a TTL of at most this many seconds is left alone.
    type: int
  leaf_json:
    description: Whether a mapping in the tree is stored as JSON, as the value of one key, and is no directory.
    type: bool
    default: false
  leaf_json_depth:
    description:
      - How many names below O(path) a mapping is stored as JSON. V(1) is what O(leaf_json=true) means;
        with V(2), the mappings right below O(path) are directories, and those in them are JSON.
    type: int
  force:
    description:
      - Replace a directory, with all that is in it, where the tree has a value; and a key with a value
        where it has a directory. Otherwise the task fails without a write.
    type: bool
    default: false
  on_conflict:
    description:
      - What to do when another client changes a key between the read and the write.
      - V(replan) reads again and plans again, up to ten times. V(fail) stops.
      - They differ as well where the answer to a write was lost and the history shows a write that is
        equal to it, which may be another client's. With V(replan) the key counts as done, as it is as
        wanted. With V(fail) its outcome is unknown.
    type: str
    choices: [replan, fail]
    default: replan
  guarded:
    description:
      - Whether a key is written only while it is as it was read, with the events C(create),
        C(compareAndSwap) and C(compareAndDelete).
      - V(false) writes keys with plain sets and deletes, whose events are C(set) and C(delete), for
        applications whose watchers know no others. What another client writes between the read and the
        write is then lost without notice, so O(on_conflict=fail) is refused; and a write whose answer
        is lost is not sent again, but looked for until O(total_timeout) is over. See O(quorum.etcd.etcd_key#module:guarded).
      - A directory is made with the event C(create) and removed with C(delete) either way, and the
        refresh of a TTL makes no event.
    type: bool
    default: true
    version_added: 0.1.0
  concurrency:
    description: How many writes are under way at once, each on its own connection to one endpoint, up to 64.
    type: int
    default: 16
  secret_keys:
    description:
      - Shell patterns, as those of O(purge_exclude), of keys whose values the diff does not show. So
        V(password) is each key of this name, at any depth, and all keys below a directory of this name.
      - The diff still tells that such a value differs. To keep values out of the log of the host as well,
        use C(no_log).
    type: list
    elements: str
    default: []
notes:
  - Order of the writes. First goes what is in the way (only with O(force=true)); then directories are made,
    parents before children; then keys are written; then what is purged goes, keys before the directories
    that held them, the deepest first. Within one of these steps writes are under way side by side, and
    the order is not certain.
  - A watcher sees each key change on its own; the API of etcd v2 has no transaction.
  - Applications that watch keys and act on the events C(set) and C(delete) only do not notice what a
    guarded task writes. Teach them the events C(create), C(update), C(compareAndSwap),
    C(compareAndDelete) and C(expire), or set O(guarded=false).
  - The server takes no condition for the removal of a directory, so a removal whose answer is lost is
    not sent again. The task waits until O(total_timeout) is over for the directory to be gone; if it is
    not, the outcome is unknown.
seealso:
  - module: quorum.etcd.etcd_backup
  - module: quorum.etcd.etcd_key
  - module: quorum.etcd.etcd_dir
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Set all the keys of an application in one task
  quorum.etcd.etcd_tree:
    endpoints: [http://10.0.1.10:2379, http://10.0.1.11:2379]
    path: /app
    tree:
      config:
        mode: production
        workers: 8
        hosts: [a.example.com, b.example.com]
      locks: {}

- name: Make a directory hold exactly what the tree names, except for locks
  quorum.etcd.etcd_tree:
    path: /app/config
    tree:
      mode: production
    purge: true
    purge_exclude: ['locks/*']

- name: Store each mapping as one JSON value
  quorum.etcd.etcd_tree:
    path: /catalog
    tree:
      web: {port: 80, tls: false}
      api: {port: 8080, tls: true}
    leaf_json: true

- name: Remove the keys of a tree
  quorum.etcd.etcd_tree:
    path: /catalog
    tree:
      web:
    state: absent
"""

RETURN = r"""
directory:
  description: The directory, with its leading slash.
  type: str
  returned: success
  sample: /app
counts:
  description:
    - How many keys were C(created), C(updated), C(refreshed) (the TTL only) and C(deleted); how many
      directories were made (C(directories_made)) and removed (C(directories_removed)). Directories that the
      server makes for a key are not counted.
  type: dict
  returned: success, or failure part way
done:
  description:
    - Full keys of what was written or removed, or would be in check mode.
    - Of a task that fails part way, each write that was planned is in exactly one of RV(done),
      RV(failed_keys), RV(lost) and RV(not_tried).
  type: list
  elements: str
  returned: success, or failure part way
failed_keys:
  description:
    - What was not carried out, as far as is known. Each has the C(key), the C(action), the C(reason), the
      name of the C(error) (V(null) where it has none), the C(outcome) and the C(etcd_index).
    - The outcome is V(not_done), or V(unknown) where the cluster cannot tell. The index is then that of a
      write that was found and is equal to the task's; V(null) if none was found.
  type: list
  elements: dict
  returned: failure part way
lost:
  description:
    - Full keys of what another client changed first, and what was not planned again because of the failure
      of others. They are as that client left them.
  type: list
  elements: str
  returned: failure part way
not_tried:
  description: Full keys of what was still to be written or removed, and is as it was.
  type: list
  elements: str
  returned: failure part way
etcd_index:
  description: The highest index of the store that was seen.
  type: int
  returned: success, or failure part way
endpoint:
  description: The endpoint that gave the last answer.
  type: str
  returned: success, or failure part way
error:
  description:
    - Name of the failure, such as V(EtcdUnreachable) or V(EtcdConflict); part way, that of the first key in
      RV(failed_keys).
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
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.tree import manage_tree

ARGUMENT_SPEC = {
    "path": {"type": "str", "required": True},
    "tree": {"type": "raw"},
    "src": {"type": "path"},
    "src_format": {"type": "str", "default": "tree", "choices": ["tree", "backup"]},
    "remote_src": {"type": "bool", "default": False},
    "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "purge": {"type": "bool", "default": False},
    "purge_all": {"type": "bool", "default": False},
    "purge_limit": {"type": "int"},
    "purge_exclude": {"type": "list", "elements": "str", "default": []},
    "include_hidden": {"type": "bool", "default": False},
    "ttl": {"type": "int"},
    "leaf_json": {"type": "bool", "default": False},
    "leaf_json_depth": {"type": "int"},
    "force": {"type": "bool", "default": False},
    "on_conflict": {"type": "str", "default": "replan", "choices": ["replan", "fail"]},
    "guarded": {"type": "bool", "default": True},
    "concurrency": {"type": "int", "default": 16},
    "secret_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
}


def main() -> None:
    run(ARGUMENT_SPEC, manage_tree, keys_only=True)


if __name__ == "__main__":
    main()
