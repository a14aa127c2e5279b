#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_info
short_description: Gather information about an etcd cluster
version_added: 0.1.0
description:
  - Asks each endpoint itself, all at the same time, for its version, its health and its part in the
    cluster, and returns what they say.
  - A member that is down, silent, unhealthy or does not serve the v2 API is data and no failure. The
    task fails only if none of the endpoints answers.
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details:
      - Only reads, in check mode as without.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  gather:
    description:
      - What to gather. Each endpoint is asked for its version, its health, the members and the
        leader in any case. V(stats), V(auth), V(keys) and the indexes of V(health) take requests of
        their own.
    type: list
    elements: str
    choices: [version, health, members, leader, stats, auth, keys]
    default: [version, health, members, leader, auth]
seealso:
  - module: quorum.etcd.etcd_key
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Ask all members how they are
  quorum.etcd.etcd_info:
    endpoints:
      - http://10.0.1.10:2379
      - http://10.0.1.11:2379
      - http://10.0.1.12:2379
  register: etcd

- name: Stop if the cluster has no member to spare
  ansible.builtin.assert:
    that: etcd.quorum.healthy > etcd.quorum.needed

- name: Gather statistics as well
  quorum.etcd.etcd_info:
    gather: [health, stats]
"""

RETURN = r"""
endpoints:
  description: One entry for each endpoint, in the order of the option, with what was gathered.
  type: list
  elements: dict
  returned: success
  contains:
    endpoint:
      description: Its URL.
      type: str
    reachable:
      description: Whether it answered.
      type: bool
    reason:
      description: Why it is not reachable, or not healthy; V(null) if it is both.
      type: str
    latency:
      description:
        - Seconds from sending a request over a connection that is open to the end of its answer. It is
          the least of several, without that for its health, with which the server waits for its
          cluster. V(null) if there was no second answer over one connection.
      type: float
    v2_served:
      description: Whether it serves the v2 API; V(null) if that is not known.
      type: bool
    cluster_id:
      description: Id of the cluster that it belongs to, in hexadecimal.
      type: str
    version:
      description: Its version.
      type: str
    cluster_version:
      description: The version that the cluster agreed on.
      type: str
    healthy:
      description: Whether it says that it is healthy; V(null) if it says nothing.
      type: bool
    member_id:
      description: Id of the member that it is, in hexadecimal.
      type: str
    name:
      description: Name of the member that it is.
      type: str
    is_leader:
      description: Whether it leads; V(null) if there is no leader.
      type: bool
    etcd_index:
      description: The store's index as this member knows it.
      type: int
    raft_index:
      description: The raft index as this member knows it.
      type: int
    raft_term:
      description: The raft term as this member knows it.
      type: int
    auth_enabled:
      description: Whether v2 access control is on.
      type: bool
cluster_ids:
  description: Ids of the clusters that the endpoints belong to. More than one is worth a warning, and gets one.
  type: list
  elements: str
  returned: success
versions:
  description: The versions of the members that answered.
  type: list
  elements: str
  returned: if V(version) is gathered
members:
  description: The members of the cluster; V(null) if no endpoint serves the v2 API.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: Its id, in hexadecimal.
      type: str
    name:
      description: Its name; empty if it has never started.
      type: str
    peer_urls:
      description: Where it listens for other members.
      type: list
      elements: str
    client_urls:
      description: Where it listens for clients; empty if it has never started.
      type: list
      elements: str
    started:
      description: Whether it has ever started.
      type: bool
    healthy:
      description: Whether it says that it is healthy; V(null) if it is none of the endpoints, or is silent.
      type: bool
leader:
  description: The member that leads; V(null) if there is none.
  type: dict
  returned: success
quorum:
  description: How many members the cluster has, how many it needs, and how many of the endpoints are healthy members.
  type: dict
  returned: success
  contains:
    size:
      description: Members, started or not.
      type: int
    needed:
      description: Members that must be healthy for the cluster to write.
      type: int
    healthy:
      description: Members among the endpoints that say that they are healthy.
      type: int
auth_enabled:
  description: Whether v2 access control is on; V(null) if no endpoint says.
  type: bool
  returned: if V(auth) is gathered
stats:
  description: The server's own statistics, C(self), C(store) and C(leader) of the leader if it is among the endpoints, or
    else C(self) and C(store) of another one.
  type: dict
  returned: success; V(null) unless V(stats) is gathered
root_keys:
  description: The keys in the root directory.
  type: list
  elements: str
  returned: success; V(null) unless V(keys) is gathered
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
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.info import gather_info

ARGUMENT_SPEC = {
    "gather": {
        "type": "list",
        "elements": "str",
        "default": ["version", "health", "members", "leader", "auth"],
        "choices": ["version", "health", "members", "leader", "stats", "auth", "keys"],
    },
}


def main() -> None:
    run(ARGUMENT_SPEC, gather_info)


if __name__ == "__main__":
    main()
