#!/usr/bin/python
# Copyright the quorum.etcd contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Manage the members of an etcd cluster
version_added: 0.1.0
description:
  - Makes sure that a member is in the cluster, with these peer URLs, or is not.
  - Adding a member only announces it. Its server is started afterwards, with the configuration that
    this module returns.
  - A change that would leave the cluster without a quorum is refused unless O(force=true).
extends_documentation_fragment:
  - quorum.etcd.attributes
  - quorum.etcd.connection
attributes:
  check_mode:
    support: full
    details:
      - Reads the members and their health, and changes nothing. Does not wait. That there is no member
        of this name, and no O(peer_urls) to add one with, is a warning, because an earlier task of the
        play may add it.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  peer_urls:
    description:
      - Where the member listens for other members, all of its URLs, with scheme and host. Port 2380 is
        added where none is named.
      - All that is given of O(peer_urls), O(name) and O(id) must mean the same one member. Otherwise the
        task fails and lists the members that are meant; so it does where two members have one name, as
        in the middle of a replacement, and nothing else says which.
      - With O(state=present), peer URLs that no member has are those that the member is to have. If its
        name or id finds it, they are changed; the member is not to be reached at them until it has
        been started there.
      - With O(state=absent), some of a member's peer URLs are enough only if O(name) or O(id) finds the
        same member.
      - Required to add a member.
    type: list
    elements: str
  name:
    description:
      - The member's name. A member that has been added has none until it starts; for such a one, this
        is the name in the configuration that is returned.
      - With O(state=present), letters and digits of ASCII, dots, underscores and hyphens only, because
        it gets into files. Mean a member that has another name by its O(id).
    type: str
  id:
    description:
      - The member's id in hexadecimal, as this module and M(quorum.etcd.etcd_info) return it.
      - With O(state=present), a member with this id must be there; one that is added gets its id from
        the server.
    type: str
  state:
    description: Whether the member is to be in the cluster.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Make the change also if it would leave the cluster without a quorum of started, healthy
        members. Adding a member to a cluster of one does so until the new member has started; other
        peer URLs for a healthy member may do so until it has been started there.
      - Members that are among the endpoints are asked for their health there, and known by their id;
        the others are asked at the client URLs that they advertise, without O(username) and
        O(password), and not over http if the endpoints are https. One that cannot be asked does not
        count as healthy; the refusal, or a warning, says why it could not.
    type: bool
    default: false
  retry_timeout:
    description:
      - Seconds during which a change is tried again that the server refuses without saying why. It does
        so while members have been connected for less than 5 seconds.
      - etcd before 3.5.30 (3.4.23, 3.5.1 and 3.5.16 were tried) also refuses to add a member while another
        one has not started, and while a peer is down. 3.5.30 adds it if those that are connected are a
        majority of the members that there will be; with one of three down they are not. The removal of
        a healthy member while another one is down is refused by all of them.
    type: float
    default: 30.0
  wait:
    description: With O(state=present), wait until the member has started and says that it is healthy.
    type: bool
    default: false
  wait_timeout:
    description: With O(wait=true), the seconds to wait. The task fails if it takes longer.
    type: float
    default: 60.0
seealso:
  - module: quorum.etcd.etcd_info
author:
  - quorum.etcd contributors (@quorum-etcd)
"""

EXAMPLES = r"""
- name: Announce a new member
  quorum.etcd.etcd_member:
    endpoints: [http://10.0.1.10:2379, http://10.0.1.11:2379, http://10.0.1.12:2379]
    name: etcd4
    peer_urls: http://10.0.1.13:2380
  register: added

- name: Show what its configuration needs
  ansible.builtin.debug:
    msg: "{{ added.environment }}"

- name: Wait until it has started
  quorum.etcd.etcd_member:
    endpoints: [http://10.0.1.10:2379, http://10.0.1.11:2379, http://10.0.1.12:2379]
    name: etcd4
    peer_urls: http://10.0.1.13:2380
    wait: true

- name: Remove a member
  quorum.etcd.etcd_member:
    endpoints: [http://10.0.1.10:2379, http://10.0.1.11:2379, http://10.0.1.12:2379]
    name: etcd4
    state: absent
"""

RETURN = r"""
member:
  description: The member that is meant; V(null) if there is none.
  type: dict
  returned: success
  contains:
    id:
      description: Its id in hexadecimal; V(null) in check mode if it would be added.
      type: str
    id_decimal:
      description: The same in decimal, as the v3 API and the peers write it. A string, because it exceeds what JSON numbers hold.
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
members:
  description: All members after the task, each as in RV(member).
  type: list
  elements: dict
  returned: success
initial_cluster:
  description:
    - All members as the configuration of a new one names them.
    - V(null), with a warning, if a member has a name or a peer URL with other characters than letters and
      digits of ASCII, dots, underscores and hyphens. A member that would need the configuration is then
      not added.
  type: str
  returned: success
  sample: etcd1=http://10.0.1.10:2380,etcd4=http://10.0.1.13:2380
initial_cluster_state:
  description: V(existing), which a new member's configuration must say.
  type: str
  returned: success
environment:
  description:
    - The environment variables with which the member is started; V(null) if it is not in the cluster, or
      RV(initial_cluster) is V(null).
  type: dict
  returned: success
  sample:
    ETCD_NAME: etcd4
    ETCD_INITIAL_ADVERTISE_PEER_URLS: http://10.0.1.13:2380
    ETCD_INITIAL_CLUSTER: etcd1=http://10.0.1.10:2380,etcd4=http://10.0.1.13:2380
    ETCD_INITIAL_CLUSTER_STATE: existing
action:
  description: What was done, or would be in check mode.
  type: str
  returned: success
  sample: add
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
from ansible_collections.quorum.etcd.plugins.module_utils._tasks.member import manage_member

ARGUMENT_SPEC = {
    "peer_urls": {"type": "list", "elements": "str"},
    "name": {"type": "str"},
    "id": {"type": "str"},
    "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
    "force": {"type": "bool", "default": False},
    "retry_timeout": {"type": "float", "default": 30.0},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "float", "default": 60.0},
}


def main() -> None:
    run(ARGUMENT_SPEC, manage_member)


if __name__ == "__main__":
    main()
