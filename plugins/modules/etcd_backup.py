#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_backup
short_description: Save a directory of an etcd v2 store to a file
version_added: 0.1.0
description:
  - Writes a directory of the etcd v2 API, with all that is below it and its TTLs, to one JSON file on
    the host, with a checksum. M(quorum.etcd.etcd_tree) with O(quorum.etcd.etcd_tree#module:src_format=backup)
    brings it back.
  - The directory is read with one quorum read, so the file holds what was there at one index of the store.
  - The file is complete before it gets its name, so that there is never half a backup, and nothing is left of one
    that was interrupted, where the host's file system can do that. If O(mode) does not say otherwise, only its
    owner may read it.
  - Hidden keys, whose names start with an underscore, are in no listing of the server. They are saved if
    O(hidden) names them, each with a read of its own; there is no way to find out which ones there are.
  - What is no key is not saved. The users, roles and passwords of the v2 API are none; neither are the
    members of the cluster and the v3 store. The indexes that each key has had are not saved.
extends_documentation_fragment:
  - ansible.builtin.files
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details: Reads the directory and writes no file. Because an earlier task of the play may make it, that the
      directory does not exist is a warning.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A file that holds the same is left alone, but for its owner and mode. A key whose TTL was set anew in the meantime is
        another one, as it expires at another time.
options:
  dest:
    description:
      - The file. Its folder must exist. A backup that is there is replaced, unless it holds the same.
    type: path
    required: true
  path:
    description:
      - The directory to save. A leading slash is added where it is missing.
      - It is read as a whole, for which a role needs the pattern V(/app/*) if this is V(/app).
    type: str
    default: /
  hidden:
    description:
      - Hidden keys and directories below O(path) that are to be saved too. A directory is saved with what is
        below it, but for what is hidden in it and not named as well.
      - One that does not exist is left out, with a warning.
    type: list
    elements: str
    default: []
  unless_same_as:
    description:
      - An earlier backup. If it holds the same as O(dest) would, O(dest) is not written, and nothing is
        changed, its owner and mode included.
    type: path
  mode:
    description:
      - The permissions of O(dest), as for M(ansible.builtin.copy), also if it holds the same already.
      - If not set, those that O(dest) has, without any for its group and others; V(0600) for a new file.
    type: raw
notes:
  - Values of etcd v2 are text. What a client stored that is no valid UTF-8 comes out of the server
    changed, and is saved like that.
seealso:
  - module: quorum.etcd.etcd_tree
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Save the whole store, and two hidden directories
  quorum.etcd.etcd_backup:
    endpoints: [http://10.0.1.10:2379, http://10.0.1.11:2379]
    dest: /var/backups/etcd/store.json
    hidden: [/_coreos.com, /app/_locks]

- name: Save the keys of an application, for its group to read
  quorum.etcd.etcd_backup:
    path: /app
    dest: /var/backups/etcd/app.json
    mode: '0640'

- name: Bring them back, and remove what has come since
  quorum.etcd.etcd_tree:
    path: /app
    src: /var/backups/etcd/app.json
    src_format: backup
    remote_src: true
    purge: true
"""

RETURN = r"""
dest:
  description: The file that holds the backup; O(unless_same_as) if that holds the same already.
  type: str
  returned: success
owner:
  description: Name of the user that owns RV(dest), or the number where it has no name.
  type: str
  returned: success, if the file exists
  sample: root
group:
  description: Name of the group of RV(dest), or the number where it has no name.
  type: str
  returned: success, if the file exists
  sample: root
uid:
  description: Number of RV(owner).
  type: int
  returned: success, if the file exists
gid:
  description: Number of RV(group).
  type: int
  returned: success, if the file exists
mode:
  description: Permissions of RV(dest), in octal digits.
  type: str
  returned: success, if the file exists
  sample: '0600'
size:
  description: Size of RV(dest) in bytes.
  type: int
  returned: success, if the file exists
state:
  description: What RV(dest) is, C(file) unless somebody made a link of it.
  type: str
  returned: success, if the file exists
  sample: file
directory:
  description: The directory of the store, with its leading slash.
  type: str
  returned: success
  sample: /
key_count:
  description: How many keys with values the backup holds.
  type: int
  returned: success
directory_count:
  description: How many directories it holds, O(path) included.
  type: int
  returned: success
cluster_id:
  description: Id of the cluster, in hexadecimal.
  type: str
  returned: success
etcd_index:
  description: The store's index when the backup was made, which is earlier where a file holds the same already.
  type: int
  returned: success
saved_at:
  description: When that was, in UTC.
  type: str
  returned: success
  sample: '2026-01-31T23:59:59Z'
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

from ansible_collections.quorum.etcd.plugins.module_utils._host_files import HostFiles
from ansible_collections.quorum.etcd.plugins.module_utils._module import run
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.backup import save_tree

ARGUMENT_SPEC = {
    "dest": {"type": "path", "required": True},
    "path": {"type": "str", "default": "/"},
    "hidden": {"type": "list", "elements": "str", "default": []},
    "unless_same_as": {"type": "path"},
    "mode": {"type": "raw"},
}


def main() -> None:
    run(ARGUMENT_SPEC, save_tree, keys_only=True, host_files=HostFiles)


if __name__ == "__main__":
    main()
